import { takeTablesOut } from '../../postgres/ddl/publication.ddl.js';
import { dropReplicationSlot } from '../../postgres/ddl/replication-slot.ddl.js';
import { statement, type Statement } from '../../postgres/ddl/statement.js';
import { literal } from '../../postgres/quoting.js';
import { publisherSlotName, subscriberSlotName } from './link-objects.js';
import {
  createOwnPublication,
  dropOwnPublications,
  ownPublications,
  type SubscribedTable,
} from './own-publications.ddl.js';

/* What opening and removing the readers of a link runs, for dry runs; `link-objects.ts` does it. */

const TABLE_LOCK = 'SHARE UPDATE EXCLUSIVE on each listed table: does not block reads or writes';

/** As `createLogicalSlot` runs it. */
export function createSlotStatement(name: string): Statement {
  const sql = `select pg_catalog.pg_create_logical_replication_slot(${literal(name)}, 'pgoutput')`;
  return statement(sql, 'none; waits for every running transaction that has written', { transactional: false });
}

export function createOnPublisher(readerId: string): Statement[] {
  return [createSlotStatement(publisherSlotName(readerId))];
}

/** @param tables those of the subscription */
export function createOnSubscriber(readerId: string, tables: readonly SubscribedTable[]): Statement[] {
  const publications = ownPublications(readerId, tables).map((each) =>
    statement(createOwnPublication(each), TABLE_LOCK),
  );
  return [...publications, createSlotStatement(subscriberSlotName(readerId))];
}

export function dropOnPublisher(readerId: string): Statement[] {
  return dropReplicationSlot(publisherSlotName(readerId));
}

/** @param tables those of the subscription where they are known: the publications are emptied of them first */
export function dropOnSubscriber(readerId: string, tables: readonly SubscribedTable[] = []): Statement[] {
  return [
    ...dropReplicationSlot(subscriberSlotName(readerId)),
    ...ownPublications(readerId, tables).flatMap((each) => takeTablesOut(each.name, each.tables)),
    statement(dropOwnPublications(readerId), 'ACCESS EXCLUSIVE on the publications; no table lock'),
  ];
}
