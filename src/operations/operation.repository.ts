import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { OperationEntity } from './operation.entity.js';
import type { OperationProgress } from './operations.js';

export interface OperationEvent {
  seq: number;
  type: string;
  data: Record<string, unknown>;
  at: Date;
}

/** An operation with its creation time to the microsecond, as a sort key. */
export type ListedOperation = OperationEntity & { createdAtText: string };

/** The operations table and its events. Ended operations are never changed again. */
@Injectable()
export class OperationRepository {
  constructor(private readonly dataSource: DataSource) {}

  find(id: string): Promise<OperationEntity | null> {
    return this.dataSource.getRepository(OperationEntity).findOneBy({ id });
  }

  /** Newest first; `before` is the sort key of the last row of the page before. */
  async page(limit: number, before: { createdAt: string; id: string } | null): Promise<ListedOperation[]> {
    // Microseconds as text: a Date would cut them, and rows of one millisecond would be skipped or repeated.
    const query = this.dataSource
      .getRepository(OperationEntity)
      .createQueryBuilder('o')
      .addSelect('o.created_at::text', 'created_at_text')
      .orderBy('o.created_at', 'DESC')
      .addOrderBy('o.id', 'DESC')
      .limit(limit);
    if (before) {
      query.where('(o.created_at, o.id) < (:at::timestamptz, :id::uuid)', { at: before.createdAt, id: before.id });
    }
    const { entities, raw } = await query.getRawAndEntities<{ created_at_text: string }>();
    return entities.map((entity, index) => Object.assign(entity, { createdAtText: raw[index]!.created_at_text }));
  }

  async insert(row: { id: string; kind: string; subjectType: string; subjectId: string }): Promise<void> {
    await this.dataSource.query(
      `insert into lockstep.operation (id, kind, subject_type, subject_id, state) values ($1, $2, $3, $4, 'queued')
       on conflict (id) do nothing`,
      [row.id, row.kind, row.subjectType, row.subjectId],
    );
  }

  /**
   * Changes a live operation and appends the event that tells of it, in one transaction. False when the operation
   * has ended already (or does not exist), in which case nothing is written.
   */
  change(
    id: string,
    set: Partial<Pick<OperationEntity, 'state' | 'progress' | 'result' | 'problem'>>,
    event: { type: string; data: Record<string, unknown> },
  ): Promise<boolean> {
    return this.dataSource.transaction(async (manager) => {
      const ended = set.state === 'succeeded' || set.state === 'failed' || set.state === 'cancelled';
      const [, changed] = await manager.query<[unknown[], number]>(
        `update lockstep.operation
            set state = coalesce($2, state),
                progress = coalesce($3::jsonb, progress),
                result = coalesce($4::jsonb, result),
                problem = coalesce($5::jsonb, problem),
                started_at = case when $2 in ('running', 'waiting') then coalesce(started_at, now()) else started_at end,
                finished_at = case when $6 then now() end
          where id = $1 and finished_at is null`,
        [id, set.state ?? null, json(set.progress), json(set.result), json(set.problem), ended],
      );
      if (changed === 0) return false;
      await this.append(manager, id, event.type, event.data);
      return true;
    });
  }

  async queuedLongerThan(seconds: number): Promise<string[]> {
    const rows = await this.dataSource.query<{ id: string }[]>(
      `select id from lockstep.operation where finished_at is null and state = 'queued' and created_at < now() - make_interval(secs => $1)`,
      [seconds],
    );
    return rows.map(({ id }) => id);
  }

  /** Progress without an event of its own: what a poller sees between two events. */
  async setProgress(id: string, progress: OperationProgress): Promise<void> {
    await this.dataSource.query(
      'update lockstep.operation set progress = $2::jsonb where id = $1 and finished_at is null',
      [id, json(progress)],
    );
  }

  appendEvent(id: string, type: string, data: Record<string, unknown>): Promise<void> {
    return this.dataSource.transaction(async (manager) => {
      await manager.query('select 1 from lockstep.operation where id = $1 for update', [id]);
      await this.append(manager, id, type, data);
    });
  }

  async eventsAfter(id: string, seq: number, limit: number): Promise<OperationEvent[]> {
    const rows = await this.dataSource.query<{ seq: string; type: string; data: Record<string, unknown>; at: Date }[]>(
      `select seq, type, data, at from lockstep.operation_event where operation_id = $1 and seq > $2 order by seq limit $3`,
      [id, seq, limit],
    );
    return rows.map((row) => ({ ...row, seq: Number(row.seq) }));
  }

  /** The operation's row is locked by the caller's transaction, so sequence numbers have no gaps and no twins. */
  private async append(manager: EntityManager, id: string, type: string, data: Record<string, unknown>): Promise<void> {
    await manager.query(
      `insert into lockstep.operation_event (operation_id, seq, type, data)
       select $1, coalesce(max(seq), 0) + 1, $2, $3::jsonb from lockstep.operation_event where operation_id = $1`,
      [id, type, json(data)],
    );
  }
}

function json(value: unknown): string | null {
  return value === undefined || value === null ? null : JSON.stringify(value);
}
