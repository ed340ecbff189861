import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { DifferenceKind } from '../at-rest/difference.js';
import type { Verdict } from '../at-rest/link-verification.js';
import type { TableName } from '../at-rest/table-shape.js';
import type { RepairedItem, RepairItem, RepairOutcome } from './repair-item.js';
import type { PlannedItem } from './repair-plan.js';
import type { TriggerMode } from './repair-facts.js';

/** What is worth knowing of how the rows are written, as it was found when that began. */
export interface StoredFacts {
  quiet: boolean;
  marks: boolean;
  warnings: string[];
}

/** A repair, or the plan of one; its id is its operation's. */
export interface Repair {
  id: string;
  verification: string;
  mode: 'plan' | 'apply';
  triggers: TriggerMode;
  facts: StoredFacts | null;
  /** Of the repaired rows, compared once more; null: not yet, or there were none. */
  verdict: Verdict | null;
  reason: string | null;
  verifiedLsn: string | null;
}

export interface RepairRow {
  position: number;
  schema: string;
  table: string;
  kind: DifferenceKind | 'local-write';
  key: Record<string, string | null> | null;
  outcome: RepairOutcome | 'planned' | null;
  reason: string | null;
  sql: string[] | null;
}

export type RepairCounts = Record<RepairOutcome | 'pending', number>;

const SELECT = `
select r.id, r.verification, r.mode, r.triggers, r.facts, r.verdict, r.reason, r.verified_lsn as "verifiedLsn"
  from lockstep.repair r`;

const ROWS = `
select w.position, d.schema, d.table_name as "table", d.kind, d.key, w.outcome, w.reason, w.sql
  from lockstep.repair_row w join lockstep.repair r on r.id = w.repair
  join lockstep.difference d on d.verification = r.verification and d.position = w.position`;

@Injectable()
export class RepairRepository {
  constructor(private readonly dataSource: DataSource) {}

  /** Its operation is there already. `positions` null: every difference that is listed. Answers those that are not. */
  async insert(
    repair: Pick<Repair, 'id' | 'verification' | 'mode' | 'triggers'>,
    positions: readonly number[] | null,
  ): Promise<void> {
    const { id, verification, mode, triggers } = repair;
    await this.dataSource.transaction(async (manager) => {
      await manager.query('insert into lockstep.repair (id, verification, mode, triggers) values ($1, $2, $3, $4)', [
        ...[id, verification, mode, triggers],
      ]);
      await manager.query(
        `insert into lockstep.repair_row (repair, position)
         select $1, d.position from lockstep.difference d
          where d.verification = $2 and ($3::integer[] is null or d.position = any ($3::integer[]))`,
        [id, verification, positions],
      );
    });
  }

  /** Those of the positions that are no difference of the verification. */
  async unknown(verification: string, positions: readonly number[]): Promise<number[]> {
    const rows = await this.dataSource.query<{ position: number }[]>(
      `select p.position from unnest($2::integer[]) p(position)
        where not exists (select from lockstep.difference d where d.verification = $1 and d.position = p.position)
        order by p.position limit 20`,
      [verification, positions],
    );
    return rows.map(({ position }) => position);
  }

  async find(id: string): Promise<Repair | null> {
    const [found] = await this.dataSource.query<Repair[]>(`${SELECT} where r.id = $1`, [id]);
    return found ?? null;
  }

  /** The one that writes rows of the verification and has not ended. */
  async running(verification: string): Promise<string | null> {
    const [found] = await this.dataSource.query<{ id: string }[]>(
      `select r.id from lockstep.repair r join lockstep.operation o on o.id = r.id
        where r.verification = $1 and r.mode = 'apply' and o.finished_at is null`,
      [verification],
    );
    return found?.id ?? null;
  }

  /** Those that have not ended and use the server, in words. */
  async usesServer(server: string): Promise<string[]> {
    const rows = await this.dataSource.query<{ id: string }[]>(
      `select r.id from lockstep.repair r join lockstep.operation o on o.id = r.id
         join lockstep.verification v on v.id = r.verification
        where o.finished_at is null and $1 in (v.subscriber_server, v.publisher_server)`,
      [server],
    );
    return rows.map(({ id }) => `repair ${id}`);
  }

  /** The tables of its differences. */
  async tables(id: string, outcome: RepairOutcome | null = null): Promise<TableName[]> {
    return this.dataSource.query(
      `select distinct w.schema, w.table as name from (${ROWS} where w.repair = $1) w
        where $2::text is null or w.outcome = $2 order by 1, 2`,
      [id, outcome],
    );
  }

  /** Differences of the table that have no outcome yet. */
  async pending(id: string, { schema, name }: TableName): Promise<RepairItem[]> {
    return this.dataSource.query(
      `select w.position, d.kind, d.key, w.intended
         from lockstep.repair_row w join lockstep.repair r on r.id = w.repair
         join lockstep.difference d on d.verification = r.verification and d.position = w.position
        where w.repair = $1 and w.outcome is null and d.schema = $2 and d.table_name = $3 order by w.position`,
      [id, schema, name],
    );
  }

  /** Keys that were repaired, as the differences show them. */
  async repairedKeys(id: string, { schema, name }: TableName): Promise<Record<string, string | null>[]> {
    const rows = await this.dataSource.query<{ key: Record<string, string | null> }[]>(
      `select distinct w.key from (${ROWS} where w.repair = $1) w
        where w.outcome = 'repaired' and w.schema = $2 and w.table = $3`,
      [id, schema, name],
    );
    return rows.map(({ key }) => key);
  }

  /** After the last position, in the order of the differences. */
  rows(id: string, limit: number, after: number | null): Promise<RepairRow[]> {
    return this.dataSource.query(`${ROWS} where w.repair = $1 and w.position > $3 order by w.position limit $2`, [
      id,
      limit,
      after ?? -1,
    ]);
  }

  /** All of a plan, in the order in which its statements run. */
  planned(id: string): Promise<RepairRow[]> {
    return this.dataSource.query(`${ROWS} where w.repair = $1 order by w.turn nulls last, w.position`, [id]);
  }

  async counts(id: string): Promise<RepairCounts> {
    const rows = await this.dataSource.query<{ outcome: keyof RepairCounts; n: number }[]>(
      `select coalesce(outcome, 'pending') as outcome, count(*)::integer as n from lockstep.repair_row
        where repair = $1 group by 1`,
      [id],
    );
    const counts: RepairCounts = {
      ...{ pending: 0, repaired: 0, gone: 0, changed: 0, 'not-repaired': 0, 'not-repairable': 0 },
    };
    for (const { outcome, n } of rows) counts[outcome] = n;
    return counts;
  }

  /** Differences of the verification that were counted and are not listed. */
  async unlisted(verification: string): Promise<number> {
    const [row] = await this.dataSource.query<{ n: number }[]>(
      `select (coalesce((select sum(t.missing + t.extra + t.different) from lockstep.verification_table t
                          where t.verification = $1), 0)
             - coalesce((select sum(d.count) from lockstep.difference d where d.verification = $1), 0))::float8 as n`,
      [verification],
    );
    return Math.max(0, row!.n);
  }

  async setFacts(id: string, { quiet, marks, warnings }: StoredFacts): Promise<void> {
    const facts = JSON.stringify({ quiet, marks, warnings });
    await this.dataSource.query('update lockstep.repair set facts = $2::jsonb where id = $1', [id, facts]);
  }

  /** Recorded before the rows are committed: whoever finds them right after a crash knows by whom. */
  async intend(id: string, positions: readonly number[]): Promise<void> {
    await this.dataSource.query(
      'update lockstep.repair_row set intended = true where repair = $1 and position = any ($2::integer[])',
      [id, positions],
    );
  }

  async done(id: string, items: readonly (RepairedItem | PlannedItem)[]): Promise<void> {
    await this.dataSource.query(
      `update lockstep.repair_row w set outcome = i.outcome, reason = i.reason, turn = i.turn, sql = i.sql
         from jsonb_to_recordset($2::jsonb) i(position integer, outcome text, reason text, turn integer, sql jsonb)
        where w.repair = $1 and w.position = i.position`,
      [id, JSON.stringify(items)],
    );
  }

  async verified(id: string, verdict: Verdict, reason: string | null, verifiedLsn: string | null): Promise<void> {
    await this.dataSource.query(
      'update lockstep.repair set verdict = $2, reason = $3, verified_lsn = $4 where id = $1',
      [id, verdict, reason, verifiedLsn],
    );
  }

  /** A plan that was answered: it holds values of rows. */
  async forget(id: string): Promise<void> {
    await this.dataSource.query(`delete from lockstep.repair where id = $1 and mode = 'plan'`, [id]);
  }
}
