import { plan } from '../changes/change.js';
import { createPublication } from '../postgres/ddl/publication.ddl.js';
import { PG14 } from '../shared/server-version.js';
import type { AuditEventDto } from './audit.dto.js';
import { TOKENS } from './tokens.examples.js';

const TARGET = { kind: 'tables' as const, tables: [{ schema: 'public', name: 'orders' }] };
const CREATED = plan(
  { server: 'orders-14', database: 'orders' },
  createPublication({ name: 'orders_pub', target: TARGET }, PG14),
);
const ACTOR = { tokenId: TOKENS[1]!.id, actor: TOKENS[1]!.name, remoteAddress: '127.0.0.1' };

/** Newest first. */
export const AUDIT_EVENTS: AuditEventDto[] = [
  {
    ...{ id: '1043', at: '2026-07-01T12:04:31.052Z', finishedAt: '2026-07-01T12:04:31.060Z', ...ACTOR },
    ...{ action: 'servers.remove', subject: 'servers/orders-14', requestId: '6d2f9f0e-5f8e-4b1f-9c5d-0f6f1a0c7b1e' },
    ...{ outcome: 'refused', status: 409, sql: [] },
    details: { problem: 'CONFLICT', detail: '"orders-14" is used by upgrade "orders-14-to-18"' },
  },
  {
    ...{ id: '1042', at: '2026-07-01T12:04:02.644Z', finishedAt: '2026-07-01T12:04:02.731Z', ...ACTOR },
    action: 'publications.create',
    subject: 'servers/orders-14/databases/orders/publications/orders_pub',
    ...{ requestId: '3c9e1b52-7d44-4f0f-a3b9-2e8d1c6a5f07', outcome: 'succeeded', status: 201 },
    ...{ sql: CREATED.map(({ server, database, sql }) => `-- ${server}/${database}\n${sql}`), details: {} },
  },
];
