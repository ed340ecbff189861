import { setTimeout as delay } from 'node:timers/promises';

/** name -> action, from LOCKSTEP_FAILPOINTS: `upgrade.fence.acted=kill,upgrade.drain.done=wait:2000`. */
const armed = parse(process.env.LOCKSTEP_FAILPOINTS);

/**
 * A named place where a test may end or hold the process, to show that whatever follows is resumed. Does nothing,
 * and cannot be reached over the API, unless LOCKSTEP_FAILPOINTS names it at start.
 */
export async function failpoint(name: string): Promise<void> {
  if (armed === null) return;
  const action = armed.get(name);
  if (action === undefined) return;
  if (action === 'kill') process.kill(process.pid, 'SIGKILL');
  const wait = /^wait:(\d+)$/.exec(action);
  if (wait) await delay(Number(wait[1]));
  if (action === 'throw') throw new Error(`failpoint ${name}`);
}

function parse(text: string | undefined): Map<string, string> | null {
  if (!text) return null;
  return new Map(
    text.split(',').map((part) => {
      const [name, action] = part.split('=');
      return [name!.trim(), (action ?? 'kill').trim()];
    }),
  );
}
