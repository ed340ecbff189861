import { literal } from '../../src/postgres/quoting.js';
import { eventually } from '../support/eventually.js';
import type { Link } from './stuck-link.js';

/** Prepares the changes on the publisher; answers their xid there. */
export async function prepare(link: Link, gid: string, changes: string): Promise<number> {
  await link.publisher.run(link.database, `begin; ${changes}; prepare transaction '${gid}'`);
  return link.publisher.withSession(link.database, async (session) => {
    const row = await session.row<{ xid: string }>(
      'select transaction::text as xid from pg_prepared_xacts where gid = $1',
      [gid],
    );
    return Number(row.xid);
  });
}

/** What a failed test left would keep the databases, and every slot of the next link. */
export async function endPrepared({ publisher, subscriber, database }: Link): Promise<void> {
  for (const server of [publisher, subscriber]) {
    await server.withSession(database, async (session) => {
      const mine = 'select gid from pg_prepared_xacts where database = current_database()';
      for (const { gid } of await session.rows<{ gid: string }>(mine)) {
        await session.execute(`rollback prepared ${literal(gid)}`);
      }
    });
  }
}

export async function preparedOnSubscriber(link: Link): Promise<string[]> {
  const rows = await link.subscriber.withSession(link.database, (session) =>
    session.rows<{ gid: string }>(
      'select gid from pg_prepared_xacts where database = current_database() order by transaction::text::bigint',
    ),
  );
  return rows.map(({ gid }) => gid);
}

export async function arrives(link: Link, id: number): Promise<void> {
  await eventually(
    () =>
      link.subscriber.withSession(link.database, async (session) => {
        return (await session.rows('select from public.orders where id = $1', [id])).length === 1;
      }),
    { within: 20_000 },
  );
}

/** The LSNs that the subscriber's log names with failures at the publisher's transaction. */
export async function loggedLsns(link: Link, xid: number): Promise<string[]> {
  const pattern = new RegExp(`in transaction ${xid}, finished at ([0-9A-F]+/[0-9A-F]+)`, 'g');
  const found = await eventually(
    () => {
      const lsns = [...link.subscriber.log().matchAll(pattern)].map((match) => match[1]!);
      return Promise.resolve(lsns.length > 0 ? lsns : null);
    },
    { within: 20_000 },
  );
  return [...new Set(found)];
}
