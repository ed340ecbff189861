import type { Session } from '../session.js';

/** What a new logical slot, or a snapshot, has to wait for. Ages are in milliseconds by the server's clock. */
export interface TransactionBlocker {
  kind: 'session' | 'prepared-transaction';
  /** Null for a prepared transaction. */
  pid: number | null;
  xid: string | null;
  user: string | null;
  database: string | null;
  application: string | null;
  state: string | null;
  /** Set for a prepared transaction. */
  gid: string | null;
  transactionAgeMs: number | null;
  queryAgeMs: number | null;
  /** The statement text, at most 200 characters; null where the login may not see it. */
  query: string | null;
}

interface BlockerRow extends Omit<TransactionBlocker, 'kind'> {
  kind: TransactionBlocker['kind'];
  [column: string]: unknown;
}

/**
 * Transactions of the whole cluster that have an xid now, oldest first: those a slot being created waits for.
 * `exceptPid` is the creating session itself.
 */
export async function transactionBlockers(session: Session, exceptPid: number): Promise<TransactionBlocker[]> {
  const age = (since: string) =>
    `(1000 * pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - ${since}))::float8`;
  return session.rows<BlockerRow>(
    `select * from (
       select 'session' as kind, a.pid, a.backend_xid::text as xid, a.usename::text as "user", a.datname::text as database,
              a.application_name as application, a.state, null::text as gid,
              ${age('a.xact_start')} as "transactionAgeMs", ${age('a.query_start')} as "queryAgeMs",
              pg_catalog.left(a.query, 200) as query
         from pg_catalog.pg_stat_activity a
        where a.backend_xid is not null and a.pid not in ($1, pg_catalog.pg_backend_pid())
       union all
       select 'prepared-transaction', null, p.transaction::text, p.owner::text, p.database::text,
              null, 'prepared', p.gid, ${age('p.prepared')}, null, null
         from pg_catalog.pg_prepared_xacts p
     ) blockers order by "transactionAgeMs" desc nulls last limit 20`,
    [exceptPid],
  );
}

/** One line a person can act on. */
export function describeBlocker(blocker: TransactionBlocker): string {
  const age =
    blocker.transactionAgeMs === null ? 'unknown age' : `${Math.round(blocker.transactionAgeMs / 1000)} s old`;
  if (blocker.kind === 'prepared-transaction') {
    return `prepared transaction "${blocker.gid}" of ${blocker.user} in database ${blocker.database}, ${age}`;
  }
  const who = `pid ${blocker.pid} (${blocker.user}, ${blocker.application || 'no application_name'})`;
  return `${who} in database ${blocker.database}, ${blocker.state ?? 'state unknown'}, transaction ${age}`;
}
