import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * name -> action, from LOCKSTEP_FAILPOINTS: `upgrade.fence.acted=kill,upgrade.drain.done=wait:2000` (`kill:3`: the third
 * time); or from the file that
 * `file:<path>` names, as it is at that moment.
 */
const setting = process.env.LOCKSTEP_FAILPOINTS;
const fromSetting = parse(setting);

function armedNow(): Map<string, string> | null {
  if (!setting?.startsWith('file:')) return fromSetting;
  const file = setting.slice('file:'.length);
  return existsSync(file) ? parse(readFileSync(file, 'utf8')) : null;
}

/**
 * A named place where a test may end or hold the process, to show that whatever follows is resumed. Does nothing,
 * and cannot be reached over the API, unless LOCKSTEP_FAILPOINTS names it at start.
 */
export async function failpoint(name: string): Promise<void> {
  const action = armedNow()?.get(name);
  if (action === undefined) return;
  if (action === 'kill') process.kill(process.pid, 'SIGKILL');
  const turn = /^kill:(\d+)$/.exec(action);
  if (turn && count(name) === Number(turn[1])) process.kill(process.pid, 'SIGKILL');
  const wait = /^wait:(\d+)$/.exec(action);
  if (wait) await delay(Number(wait[1]));
  if (action === 'throw') throw new Error(`failpoint ${name}`);
}

const passed = new Map<string, number>();

function count(name: string): number {
  const times = (passed.get(name) ?? 0) + 1;
  passed.set(name, times);
  return times;
}

/**
 * As `failpoint`, before a statement that changes a managed server is sent: `statement=every-<n>:<file>` ends the process
 * at each n-th text that has not come before, in this life or an earlier one; the file remembers them.
 */
export function statementFailpoint(text: string): void {
  const [, every, file] = /^every-(\d+):(.+)$/.exec(armedNow()?.get('statement') ?? '') ?? [];
  if (file === undefined) return;
  const line = JSON.stringify(text);
  const known = existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : [];
  if (known.includes(line)) return;
  appendFileSync(file, `${line}\n`);
  if ((known.length + 1) % Number(every) === 0) process.kill(process.pid, 'SIGKILL');
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
