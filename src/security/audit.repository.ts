import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { AuditEventEntity } from './audit-event.entity.js';

export interface AuditFilter {
  actor?: string;
  action?: string;
  /** The subject itself or anything below it. */
  subject?: string;
  outcome?: string;
  requestId?: string;
  since?: Date;
  until?: Date;
}

/** Sort key of an event: microseconds since 1970, as a Date would cut them, and its id. Both are texts of digits. */
export interface AuditKey {
  micros: string;
  id: string;
}

export type ListedAuditEvent = AuditEventEntity & { atMicros: string };

/** Events are added and ended, never changed otherwise; only retention removes them. */
@Injectable()
export class AuditRepository {
  constructor(private readonly dataSource: DataSource) {}

  async insert(event: Partial<AuditEventEntity>): Promise<string> {
    const result = await this.dataSource.getRepository(AuditEventEntity).insert(event as object);
    return (result.identifiers[0] as { id: string }).id;
  }

  async finish(id: string, end: Pick<AuditEventEntity, 'outcome' | 'status' | 'sql' | 'details'>): Promise<void> {
    await this.dataSource.query(
      `update lockstep.audit_event
          set outcome = $2, status = $3, sql = $4, details = $5::jsonb, finished_at = clock_timestamp()
        where id = $1 and outcome = 'started'`,
      [id, end.outcome, end.status, end.sql, JSON.stringify(end.details)],
    );
  }

  /** Newest first; `before` is the sort key of the last event of the page before. */
  async page(filter: AuditFilter, limit: number, before: AuditKey | null): Promise<ListedAuditEvent[]> {
    // In the order of time, which every index follows: a page of long ago is found without passing all since then.
    const query = this.dataSource
      .getRepository(AuditEventEntity)
      .createQueryBuilder('e')
      .addSelect('(extract(epoch from e.at) * 1000000)::bigint::text', 'at_micros')
      .orderBy('e.at', 'DESC')
      .addOrderBy('e.id', 'DESC')
      .limit(limit);
    if (before) {
      query.andWhere(`(e.at, e.id) < (timestamptz 'epoch' + :micros::float8 * interval '1 microsecond', :id::bigint)`, {
        ...before,
      });
    }
    for (const column of ['actor', 'action', 'outcome'] as const) {
      if (filter[column] !== undefined) query.andWhere(`e.${column} = :${column}`, { [column]: filter[column] });
    }
    if (filter.requestId !== undefined) query.andWhere('e.requestId = :requestId', { requestId: filter.requestId });
    if (filter.subject !== undefined) {
      // Below it is what sorts between `subject/` and `subject0` byte by byte, as the index does.
      query.andWhere(
        `(e.subject collate "C" = :subject
          or (e.subject collate "C" >= :subject || '/' and e.subject collate "C" < :subject || '0'))`,
        { subject: filter.subject },
      );
    }
    if (filter.since) query.andWhere('e.at >= :since', { since: filter.since });
    if (filter.until) query.andWhere('e.at < :until', { until: filter.until });
    const { entities, raw } = await query.getRawAndEntities<{ at_micros: string }>();
    return entities.map((entity, index) => Object.assign(entity, { atMicros: raw[index]!.at_micros }));
  }
}
