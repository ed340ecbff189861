import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { OperationState } from '../operations/operations.js';
import { formatLsn, type Lsn } from '../shared/lsn.js';
import type { ColumnDifference, Difference, DifferenceKind } from './at-rest/difference.js';
import type { BesideRows } from './beside-rows.service.js';
import type { LinkVerification, Verdict, VerificationProgress } from './at-rest/link-verification.js';
import { VerificationEntity } from './verification.entity.js';

/** What is asked when a verification begins. */
export type NewVerification = Pick<
  VerificationEntity,
  | 'id'
  | 'kind'
  | 'subscriberServer'
  | 'subscriberDatabase'
  | 'subscription'
  | 'publisherServer'
  | 'publisherDatabase'
  | 'tables'
  | 'singleLsn'
  | 'maxParallel'
  | 'pacing'
>;

/** A verification with the state of its operation (one that belongs to an upgrade has none: then its own). */
export type ListedVerification = VerificationEntity & { state: OperationState; createdAtText: string };

export interface StoredTable {
  schema: string;
  name: string;
  verdict: Verdict;
  reason: string | null;
  rows: number | null;
  verifiedLsn: string | null;
  missing: number;
  extra: number;
  different: number;
}

export interface StoredDifference {
  position: number;
  schema: string;
  table: string;
  kind: DifferenceKind | 'local-write';
  key: Record<string, string | null> | null;
  columns: ColumnDifference[];
  count: number;
  publisherLsn: string | null;
  subscriberLsn: string | null;
  observedAt: Date;
}

/** All that are given must hold. */
export interface DifferenceFilter {
  schema?: string;
  table?: string;
  kind?: StoredDifference['kind'];
}

const SELECT = `
select v.id, v.kind, v.subscriber_server as "subscriberServer", v.subscriber_database as "subscriberDatabase",
       v.subscription, v.publisher_server as "publisherServer", v.publisher_database as "publisherDatabase", v.tables,
       v.single_lsn as "singleLsn", v.max_parallel as "maxParallel", v.pacing, v.resumed,
       v.rows_kept::float8 as "rowsKept", v.waits_for as "waitsFor", v.beside_rows as "besideRows", v.verdict, v.reason,
       v.verified_lsn as "verifiedLsn", v.at_one_lsn as "atOneLsn", v.method, v.method_reason as "methodReason", v.progress,
       v.created_at as "createdAt", v.started_at as "startedAt", v.finished_at as "finishedAt",
       v.created_at::text as "createdAtText",
       coalesce(o.state, case when v.finished_at is null then 'running' when v.verdict is null then 'failed' else 'succeeded' end) as state
  from lockstep.verification v left join lockstep.operation o on o.id = v.id`;

const DIFFERENCES_PER_STATEMENT = 500;

@Injectable()
export class VerificationRepository {
  constructor(private readonly dataSource: DataSource) {}

  /** Does nothing when a verification of that id is there already. */
  async insert(verification: NewVerification): Promise<void> {
    await this.dataSource
      .getRepository(VerificationEntity)
      .createQueryBuilder()
      .insert()
      .values(verification)
      .orIgnore()
      .execute();
  }

  async find(id: string): Promise<ListedVerification | null> {
    const [row] = await this.dataSource.query<ListedVerification[]>(`${SELECT} where v.id = $1`, [id]);
    return row ?? null;
  }

  /** Newest first; `before` is the sort key of the last row of the page before. */
  page(limit: number, before: { createdAt: string; id: string } | null): Promise<ListedVerification[]> {
    return this.dataSource.query(
      `${SELECT} where $2::timestamptz is null or (v.created_at, v.id) < ($2::timestamptz, $3::uuid)
        order by v.created_at desc, v.id desc limit $1`,
      [limit, before?.createdAt ?? null, before?.id ?? null],
    );
  }

  /** Verifications that have not ended and read the server, in words. */
  async usesServer(server: string): Promise<string[]> {
    const rows = await this.dataSource.query<{ id: string }[]>(
      `select v.id from lockstep.verification v join lockstep.operation o on o.id = v.id
        where o.finished_at is null and $1 in (v.subscriber_server, v.publisher_server)`,
      [server],
    );
    return rows.map(({ id }) => `verification ${id}`);
  }

  async begin(id: string): Promise<void> {
    await this.dataSource.query(
      'update lockstep.verification set started_at = coalesce(started_at, now()) where id = $1',
      [id],
    );
  }

  async setProgress(id: string, progress: VerificationProgress): Promise<void> {
    await this.dataSource.query('update lockstep.verification set progress = $2::jsonb where id = $1', [
      id,
      JSON.stringify(progress),
    ]);
  }

  /** Stores the outcome as a whole, in place of any that was stored before; `listed`: its differences are already. */
  async finish(
    id: string,
    result: LinkVerification,
    { listed = false, besideRows = null }: { listed?: boolean; besideRows?: BesideRows | null } = {},
  ): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await manager.query('delete from lockstep.verification_table where verification = $1', [id]);
      await manager.query('delete from lockstep.verification_progress where verification = $1', [id]);
      if (!listed) await manager.query('delete from lockstep.difference where verification = $1', [id]);
      await insertTables(manager, id, result);
      await addDifferences(manager, id, result.differences);
      await manager.query(
        `update lockstep.verification
            set verdict = $2, reason = $3, verified_lsn = $4, at_one_lsn = $5, method = $6, method_reason = $7,
                started_at = coalesce(started_at, now()), finished_at = now(), waits_for = null,
                beside_rows = $8
          where id = $1`,
        [
          ...[id, result.verdict, result.reason, lsnText(result.verifiedLsn), result.atOneLsn],
          ...[result.method, result.methodReason, besideRows && JSON.stringify(besideRows)],
        ],
      );
    });
  }

  /** Ends one that will never have an outcome; one that has its outcome stays as it is. */
  async abandon(id: string, reason: string): Promise<void> {
    await this.dataSource.query(
      'update lockstep.verification set reason = $2, finished_at = now() where id = $1 and finished_at is null',
      [id, reason],
    );
  }

  async tables(id: string): Promise<StoredTable[]> {
    const rows = await this.dataSource.query<Record<string, never>[]>(
      `select schema, name, verdict, reason, rows::float8 as rows, verified_lsn as "verifiedLsn",
              missing::float8 as missing, extra::float8 as extra, different::float8 as different
         from lockstep.verification_table where verification = $1
        order by schema collate "C", name collate "C"`,
      [id],
    );
    return rows as unknown as StoredTable[];
  }

  differences(
    id: string,
    limit: number,
    after: number | null,
    { schema, table, kind }: DifferenceFilter = {},
  ): Promise<StoredDifference[]> {
    return this.dataSource.query(
      `select position, schema, table_name as "table", kind, key, columns, count::float8 as count,
              publisher_lsn as "publisherLsn", subscriber_lsn as "subscriberLsn", observed_at as "observedAt"
         from lockstep.difference
        where verification = $1 and position > $3
          and ($4::text is null or schema = $4) and ($5::text is null or table_name = $5)
          and ($6::text is null or kind = $6)
        order by position limit $2`,
      [id, limit, after ?? -1, schema ?? null, table ?? null, kind ?? null],
    );
  }
}

async function insertTables(manager: EntityManager, id: string, { tables }: LinkVerification): Promise<void> {
  const rows = tables.map(({ schema, name, verdict, reason, rows: count, verifiedLsn, differences }) => ({
    ...{ schema, name, verdict, reason, rows: count, verified_lsn: lsnText(verifiedLsn) },
    ...differences,
  }));
  await manager.query(
    `insert into lockstep.verification_table
            (verification, schema, name, verdict, reason, rows, verified_lsn, missing, extra, different)
     select $1, t.schema, t.name, t.verdict, t.reason, t.rows, t.verified_lsn, t.missing, t.extra, t.different
       from jsonb_to_recordset($2::jsonb) t(schema text, name text, verdict text, reason text, rows bigint,
            verified_lsn text, missing bigint, extra bigint, different bigint)`,
    [id, JSON.stringify(rows)],
  );
}

/** After those that are listed already. */
export async function addDifferences(
  manager: EntityManager,
  id: string,
  differences: readonly Difference[],
): Promise<void> {
  if (differences.length === 0) return;
  const [{ first }] = await manager.query<[{ first: number }]>(
    'select coalesce(max(position) + 1, 0)::int4 as first from lockstep.difference where verification = $1',
    [id],
  );
  for (let start = 0; start < differences.length; start += DIFFERENCES_PER_STATEMENT) {
    const some = differences.slice(start, start + DIFFERENCES_PER_STATEMENT);
    await insertDifferences(manager, id, some, first + start);
  }
}

async function insertDifferences(
  manager: EntityManager,
  id: string,
  differences: readonly Difference[],
  first: number,
): Promise<void> {
  const rows = differences.map(({ publisherLsn, table, ...difference }, index) => ({
    ...difference,
    table_name: table,
    position: first + index,
    publisher_lsn: lsnText(publisherLsn),
  }));
  await manager.query(
    `insert into lockstep.difference (verification, position, schema, table_name, kind, key, columns, count, publisher_lsn)
     select $1, d.position, d.schema, d.table_name, d.kind, nullif(d.key, 'null'::jsonb), d.columns, d.count, d.publisher_lsn
       from jsonb_to_recordset($2::jsonb) d(position integer, schema text, table_name text, kind text, key jsonb,
            columns jsonb, count bigint, publisher_lsn text)`,
    [id, JSON.stringify(rows)],
  );
}

function lsnText(lsn: Lsn | null): string | null {
  return lsn === null ? null : formatLsn(lsn);
}
