import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { BindMethod } from '../postgres/replication/bound-pair.js';
import type { TableProgress, TableRecord } from './at-rest/ledger-entry.js';
import { addDifferences } from './verification.repository.js';

/** What a verification in chunks has found so far, so that another process can go on with it. */
@Injectable()
export class VerificationChunks {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * What was found by a process that went before, as long as the ends are the ones that it compared; else nothing, and
   * what it found is forgotten.
   *
   * @param ends who the servers, their timelines and the subscription are
   * @param goesOn false: the stream does not go on where that process left it
   */
  async earlier(
    id: string,
    ends: string,
    goesOn: boolean,
  ): Promise<{ records: TableRecord[]; method: BindMethod | null }> {
    await this.dataSource.transaction(async (manager) => {
      const [kept] = await manager.query<{ ends: string | null }[]>(
        'select ends from lockstep.verification where id = $1 for update',
        [id],
      );
      if (!goesOn || (kept?.ends ?? ends) !== ends) {
        await manager.query('delete from lockstep.verification_progress where verification = $1', [id]);
        await manager.query('delete from lockstep.difference where verification = $1', [id]);
      }
      await manager.query('update lockstep.verification set ends = $2 where id = $1', [id, ends]);
    });
    const rows = await this.dataSource.query<{ record: TableRecord }[]>(
      'select record from lockstep.verification_progress where verification = $1',
      [id],
    );
    const [found] = await this.dataSource.query<{ method: BindMethod | null }[]>(
      'select method from lockstep.verification where id = $1',
      [id],
    );
    return { records: rows.map(({ record }) => record), method: found?.method ?? null };
  }

  /** Notes that it goes on, with so many rows that are not compared again. */
  async resumed(id: string, rowsKept: number): Promise<void> {
    await this.dataSource.query(
      'update lockstep.verification set resumed = resumed + 1, rows_kept = $2 where id = $1',
      [id, rowsKept],
    );
  }

  /** What it waits for before the next chunk; null: nothing. */
  async waitsFor(id: string, reason: string | null): Promise<void> {
    await this.dataSource.query('update lockstep.verification set waits_for = $2 where id = $1', [id, reason]);
  }

  /** Nobody goes on with it. */
  async forget(id: string): Promise<void> {
    await this.dataSource.query('delete from lockstep.verification_progress where verification = $1', [id]);
    await this.dataSource.query('update lockstep.verification set waits_for = null where id = $1', [id]);
  }

  /** All of it or nothing. */
  async keep(id: string, progress: readonly TableProgress[], method: BindMethod | null): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const anew = progress.flatMap(({ anew: isAnew, record: { schema, name } }) => (isAnew ? [{ schema, name }] : []));
      if (anew.length > 0) {
        await manager.query(
          `delete from lockstep.difference d using jsonb_to_recordset($2::jsonb) t(schema text, name text)
            where d.verification = $1 and d.schema = t.schema and d.table_name = t.name`,
          [id, JSON.stringify(anew)],
        );
      }
      await manager.query(
        `insert into lockstep.verification_progress (verification, schema, name, record)
         select $1, r.value ->> 'schema', r.value ->> 'name', r.value from jsonb_array_elements($2::jsonb) r
         on conflict (verification, schema, name) do update set record = excluded.record`,
        [id, JSON.stringify(progress.map(({ record }) => record))],
      );
      await addDifferences(
        manager,
        id,
        progress.flatMap(({ differences }) => differences),
      );
      await manager.query('update lockstep.verification set method = coalesce($2, method) where id = $1', [id, method]);
    });
  }
}
