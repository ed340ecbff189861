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

/** Events are added and ended, never changed otherwise or removed. */
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

  /** Newest first, older than the event with id `before`. */
  page(filter: AuditFilter, limit: number, before: string | null): Promise<AuditEventEntity[]> {
    const query = this.dataSource
      .getRepository(AuditEventEntity)
      .createQueryBuilder('e')
      .orderBy('e.id', 'DESC')
      .limit(limit);
    if (before !== null) query.andWhere('e.id < :before', { before });
    for (const column of ['actor', 'action', 'outcome'] as const) {
      if (filter[column] !== undefined) query.andWhere(`e.${column} = :${column}`, { [column]: filter[column] });
    }
    if (filter.requestId !== undefined) query.andWhere('e.requestId = :requestId', { requestId: filter.requestId });
    if (filter.subject !== undefined) {
      query.andWhere(`(e.subject = :subject or starts_with(e.subject, :subject || '/'))`, { subject: filter.subject });
    }
    if (filter.since) query.andWhere('e.at >= :since', { since: filter.since });
    if (filter.until) query.andWhere('e.at < :until', { until: filter.until });
    return query.getMany();
  }
}
