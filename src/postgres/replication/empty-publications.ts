import { setTimeout as delay } from 'node:timers/promises';
import { Problem } from '../../problems/problem.js';
import { readPublications } from '../catalog/publications.js';
import { emptyPublication } from '../ddl/publication.ddl.js';
import type { Session } from '../session.js';

const LOCK_TIMEOUT_MS = 2_000;
/** Far longer than a writer takes between its two looks. */
const SETTLE_MS = 200;

/**
 * Takes tables and schemas out of publications that are about to be dropped, and waits a moment. A writer first reads
 * which publications its table is in and then looks each up: one dropped in between fails its UPDATE or DELETE with
 * XX000 `cache lookup failed for publication` (seen on 18: 182 times in 6,700 drops under load; never this way).
 */
export async function emptyPublications(session: Session, names: readonly string[]): Promise<void> {
  let emptied = false;
  for (const name of names) {
    const [publication] = await readPublications(session, name);
    const statements = publication ? emptyPublication(publication) : [];
    if (statements.length === 0) continue;
    emptied = true;
    try {
      await session.transaction(async () => {
        await session.execute(`set local lock_timeout = ${LOCK_TIMEOUT_MS}`);
        for (const { sql } of statements) await session.execute(sql);
      });
    } catch (error) {
      // Dropping needs no lock on the tables: a VACUUM of hours must not keep it back.
      if (!(error instanceof Problem) || error.options.sqlstate !== '55P03') throw error;
    }
  }
  if (emptied) await delay(SETTLE_MS);
}
