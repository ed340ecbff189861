import { setTimeout as delay } from 'node:timers/promises';
import { boundedAnswers, type ConnectionTarget } from '../../postgres/connection.js';
import { withSession } from '../../postgres/session.js';
import { sqlstateOf } from '../../postgres/translate-error.js';
import { readerIdOf } from '../link/link-objects.js';

const LIMITS = { purpose: 'repair', ...boundedAnswers() };
/** The catalog's unique index says so, not the function. */
const UNIQUE_VIOLATION = '23505';
const OBJECT_IN_USE = '55006';
const MOST_TURNS = 50;
const TURN_MS = 100;
const UNDEFINED_OBJECT = '42704';

/** Application name of the writing sessions. */
export function writerPurpose(id: string): string {
  return `repair ${readerIdOf(id)}`;
}

/** By which a subscription elsewhere (`origin = none`) tells the repair from what applications write. */
export function originName(id: string): string {
  return `lockstep_r_${readerIdOf(id)}`;
}

/** Whether the origin is there and may be used by a session. */
export async function createOrigin(subscriber: ConnectionTarget, name: string): Promise<boolean> {
  return withSession(subscriber, LIMITS, async (session) => {
    try {
      await session.rows('select pg_catalog.pg_replication_origin_create($1)', [name]);
    } catch (error) {
      if (sqlstateOf(error) !== UNIQUE_VIOLATION) throw error;
    }
    try {
      // Origins in use are as many as max_replication_slots (from 18 on max_active_replication_origins) says.
      await session.rows('select pg_catalog.pg_replication_origin_session_setup($1)', [name]);
      return true;
    } catch (error) {
      if (sqlstateOf(error) === undefined || !session.alive) throw error;
      return false;
    }
  });
}

/** Nothing of that name being there is fine. */
export async function dropOrigin(subscriber: ConnectionTarget, name: string): Promise<void> {
  await withSession(subscriber, LIMITS, async (session) => {
    const found = await session.rows('select from pg_catalog.pg_replication_origin where roname = $1', [name]);
    if (found.length === 0) return;
    for (let turn = 1; ; turn++) {
      try {
        await session.rows('select pg_catalog.pg_replication_origin_drop($1)', [name]);
        return;
      } catch (error) {
        if (sqlstateOf(error) === UNDEFINED_OBJECT) return;
        // The session that used it was closed, and its server process may not have noticed.
        if (sqlstateOf(error) !== OBJECT_IN_USE || turn === MOST_TURNS) throw error;
      }
      await delay(TURN_MS);
    }
  });
}
