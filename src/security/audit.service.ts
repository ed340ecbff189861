import { Injectable } from '@nestjs/common';
import { type Page, cursorKey, pageOf } from '../api/page.js';
import { redactText, redactValue } from '../observability/redact.js';
import { currentRequest } from '../observability/request-context.js';
import type { AuditEventEntity, AuditOutcome } from './audit-event.entity.js';
import { type AuditFilter, AuditRepository } from './audit.repository.js';

export interface AuditRecord {
  /** For example `upgrades.fence`. */
  action: string;
  /** For example `upgrades/orders-14-to-18`. */
  subject: string;
  outcome: AuditOutcome;
  status?: number;
  sql?: string[];
  details?: Record<string, unknown>;
  /** Name of whoever is behind it where there is no request, for example in a workflow. */
  actor?: string;
}

/** Who did what, when, from where, with which SQL. Everything is redacted before it is stored. */
@Injectable()
export class AuditService {
  constructor(private readonly events: AuditRepository) {}

  /** Stores a whole event, or the beginning of one (outcome `started`). Who and where come from the request. */
  record(record: AuditRecord): Promise<string> {
    const request = currentRequest();
    return this.events.insert({
      tokenId: request?.actor?.id ?? null,
      actor: request?.actor?.name ?? record.actor ?? null,
      requestId: request?.requestId ?? null,
      remoteAddress: request?.remoteAddress ?? null,
      action: record.action,
      subject: redactText(record.subject),
      outcome: record.outcome,
      status: record.status ?? null,
      finishedAt: record.outcome === 'started' ? null : new Date(),
      ...redacted(record.sql ?? [], record.details ?? {}),
    });
  }

  async finish(
    id: string,
    end: { outcome: AuditOutcome; status: number; sql: string[]; details: Record<string, unknown> },
  ): Promise<void> {
    await this.events.finish(id, { ...end, ...redacted(end.sql, end.details) });
  }

  async list(filter: AuditFilter, limit: number, cursor?: string): Promise<Page<AuditEventEntity>> {
    const [micros, id] = cursorKey(cursor, 'integer', 'integer') ?? [];
    const before = micros === undefined || id === undefined ? null : { micros, id };
    const page = pageOf(await this.events.page(filter, limit + 1, before), limit, (event) => [
      event.atMicros,
      event.id,
    ]);
    return { ...page, items: page.items.map(({ atMicros: _key, ...event }) => event) };
  }
}

function redacted(sql: string[], details: Record<string, unknown>): Pick<AuditEventEntity, 'sql' | 'details'> {
  return { sql: sql.map(redactText), details: redactValue(details) as Record<string, unknown> };
}
