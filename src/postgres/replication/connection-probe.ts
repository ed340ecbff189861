import type { Session } from '../session.js';

/** What the server said when it tried to reach a publisher. */
export interface ProbeRefusal {
  sqlstate: string;
  message: string;
}

/** Shown instead of the probe itself, which is kept out of every text for the password in it. */
export const PROBE_SHOWN = `begin; create subscription lockstep_probe connection '…' publication lockstep_probe
  with (create_slot = false, enabled = false, slot_name = none); rollback`;

/**
 * Keeps the connection string out of the server's log. A statement that fails is logged, and so is one of plpgsql that
 * warns (of the publication that is not there), so the failure is caught and left in a setting, and the subscription is
 * created by a function in SQL, of which the log shows only the name.
 */
const PROBE = `do $lockstep$
begin
  create schema lockstep_probe;
  execute pg_catalog.format('create function lockstep_probe.connect() returns void language sql as %L',
    pg_catalog.format('create subscription lockstep_probe connection %L publication lockstep_probe
                         with (create_slot = false, enabled = false, slot_name = none)',
      pg_catalog.current_setting('lockstep.conninfo')));
  perform lockstep_probe.connect();
  perform pg_catalog.set_config('lockstep.refusal', '', true);
exception when others then
  perform pg_catalog.set_config('lockstep.refusal', sqlstate || sqlerrm, true);
end $lockstep$`;

/**
 * Lets the server connect to a publisher with that connection string, as the subscription would, and answers what kept
 * it out; null when it got in. CREATE SUBSCRIPTION is the one statement that connects, asks for no slot, and can be
 * rolled back: nothing is left on either side. The publication need not exist.
 */
export async function probePublisher(session: Session, conninfo: string): Promise<ProbeRefusal | null> {
  await session.execute('begin');
  try {
    await session.rows(`select pg_catalog.set_config('lockstep.conninfo', $1, true)`, [conninfo]);
    await session.execute(PROBE);
    const { refusal } = await session.row<{ refusal: string }>(
      `select pg_catalog.current_setting('lockstep.refusal') as refusal`,
    );
    return refusal === '' ? null : { sqlstate: refusal.slice(0, 5), message: refusal.slice(5) };
  } finally {
    if (session.alive) await session.execute('rollback');
  }
}
