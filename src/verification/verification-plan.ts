import { randomUUID } from 'node:crypto';
import { type Place, plan, type PlannedStatement } from '../changes/change.js';
import * as sql from '../postgres/catalog/published-tables.sql.js';
import { boundedAnswers } from '../postgres/connection.js';
import { type Session, withSession } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import type { ServersService } from '../servers/servers.service.js';
import { type LinkTables, readLinkTables, readSubscription } from './at-rest/read-shapes.js';
import type { TableName } from './at-rest/table-shape.js';
import { noStreamBecause, readerIdOf, subscribedTables } from './link/link-objects.js';
import { createOnPublisher, createOnSubscriber, dropOnPublisher, dropOnSubscriber } from './link/link-plan.js';
import type { SubscribedTable } from './link/own-publications.ddl.js';
import type { ListedVerification } from './verification.repository.js';

/** `by-key`: row by row; `as-multiset`: rows and how often each occurs; `not-comparable`: nothing can be said. */
export type CompareMode = 'by-key' | 'as-multiset' | 'not-comparable';

export const DIVISIONS = ['key-ranges', 'key-classes', 'whole'] as const;
export type Division = (typeof DIVISIONS)[number];

export interface PlannedTable extends TableName {
  mode: CompareMode;
  /** What its chunks are, where it is compared in several; null: it is not compared. */
  division: Division | null;
  key: string[] | null;
  rowFilter: string | null;
  estimatedRows: number | null;
  bytes: number | null;
  reason: string | null;
}

export interface VerificationPlan {
  does: string;
  publisher: Place;
  subscriber: Place & { subscription: string };
  /** How the two snapshots are bound, as verifications answer it. */
  method: 'own-slot' | 'positions';
  methodReason: string | null;
  tables: PlannedTable[];
  statements: PlannedStatement[];
}

interface Ends {
  publisher: Place;
  subscriber: Place & { subscription: string };
}

/** What a verification would compare and how, by a look at both servers; only reads. */
export async function planVerification(
  servers: ServersService,
  { server, database }: Place,
  request: { subscriber: Ends['subscriber']; tables: TableName[] | null },
): Promise<VerificationPlan> {
  const ends: Ends = { publisher: { server, database }, subscriber: request.subscriber };
  const target = (end: Place) => servers.target(end.server, end.database);
  const limits = { purpose: 'verification', ...boundedAnswers() };
  return withSession(await target(ends.publisher), limits, async (publisher) =>
    withSession(await target(ends.subscriber), limits, (subscriber) =>
      look(publisher, subscriber, ends, request.tables),
    ),
  );
}

/** What a cancelled verification takes away on both servers. */
export function planRemoval(verification: ListedVerification): PlannedStatement[] {
  const { id, publisherServer, publisherDatabase, subscriberServer, subscriberDatabase } = verification;
  const readerId = readerIdOf(id);
  return [
    ...plan({ server: publisherServer, database: publisherDatabase }, dropOnPublisher(readerId)),
    ...plan({ server: subscriberServer, database: subscriberDatabase }, dropOnSubscriber(readerId)),
  ];
}

async function look(
  publisher: Session,
  subscriber: Session,
  ends: Ends,
  wanted: TableName[] | null,
): Promise<VerificationPlan> {
  const subscription = await readSubscription(subscriber, ends.subscriber.subscription);
  if (subscription.slotName === null) {
    throw new Problem('PREREQUISITE_FAILED', `subscription "${subscription.name}" has no replication slot`, {
      hint: 'Give it a slot (ALTER SUBSCRIPTION ... SET (slot_name = ...)) and enable it.',
    });
  }
  const tables = await readLinkTables(publisher, subscriber, subscription, wanted);
  const methodReason = await noStreamBecause(subscriber);
  const names = await subscriber.rows<TableName & Record<string, unknown>>(sql.subscribedTablesSql(), [
    subscription.oid,
  ]);
  const carried = methodReason === null ? await subscribedTables(subscriber, names) : null;
  return {
    does: 'Opens the change streams on slots of its own, compares every table, in chunks or (singleLsn) in one bound pair of snapshots, and removes the slots again. Their names carry the id of the verification; these are an example.',
    ...ends,
    method: methodReason === null ? 'own-slot' : 'positions',
    methodReason,
    tables: plannedTables(tables),
    statements: statementsFor(ends, carried),
  };
}

/** @param carried tables of the subscription; null: the subscriber gets nothing of ours */
function statementsFor({ publisher, subscriber }: Ends, carried: SubscribedTable[] | null): PlannedStatement[] {
  const readerId = readerIdOf(randomUUID());
  const there = { server: subscriber.server, database: subscriber.database };
  return [
    ...plan(publisher, createOnPublisher(readerId)),
    ...(carried ? plan(there, createOnSubscriber(readerId, carried)) : []),
    ...plan(publisher, dropOnPublisher(readerId)),
    ...(carried ? plan(there, dropOnSubscriber(readerId, carried)) : []),
  ];
}

function plannedTables({ comparable, notComparable }: LinkTables): PlannedTable[] {
  const planned = [
    ...comparable.map(({ schema, name, key, orderedKey, rowFilter, estimatedRows, bytes }): PlannedTable => ({
      schema,
      name,
      mode: key === null ? 'as-multiset' : 'by-key',
      division: key === null ? 'whole' : orderedKey ? 'key-ranges' : 'key-classes',
      key: key && key.map((column) => column.name),
      rowFilter,
      estimatedRows,
      bytes,
      reason: key === null ? 'no key of the table is in every change that the stream carries' : null,
    })),
    ...notComparable.map(({ schema, name, reason }): PlannedTable => ({
      ...{ schema, name, reason, mode: 'not-comparable', division: null },
      ...{ key: null, rowFilter: null, estimatedRows: null, bytes: null },
    })),
  ];
  const order = ({ schema, name }: TableName) => Buffer.from(`${schema}\0${name}`);
  return planned.sort((a, b) => Buffer.compare(order(a), order(b)));
}
