import * as sql from '../../postgres/catalog/published-tables.sql.js';
import type { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { describeTable, type CatalogColumn, type CatalogTable, type PublishedTable } from './describe-table.js';
import { tableId, type NotComparable, type TableName, type TableShape } from './table-shape.js';

/** The subscriber's end of a link, as its catalog has it. */
export interface LinkSubscription {
  /** The replication origin of its apply worker is `pg_<oid>`. */
  oid: number;
  name: string;
  enabled: boolean;
  slotName: string | null;
  publications: string[];
  /** `any` or `none`; null where the server (15 and older) has no such option. */
  origin: string | null;
}

/** The subscription of that name in the session's database. Rejects with NOT_FOUND. */
export async function readSubscription(subscriber: Session, name: string): Promise<LinkSubscription> {
  const rows = await subscriber.rows<Omit<LinkSubscription, 'oid'> & { oid: string }>(
    sql.subscriptionSql(subscriber.versionNum),
    [name],
  );
  const row = rows[0];
  if (!row) throw new Problem('NOT_FOUND', `${subscriber.where} has no subscription ${JSON.stringify(name)}`);
  return { ...row, oid: Number(row.oid) };
}

interface DatabaseSettings extends Record<string, unknown> {
  encoding: string;
  oldSnapshotThreshold: string | null;
}

export interface LinkTables {
  comparable: TableShape[];
  /** Tables of the link about which nothing can be said. Together with `comparable`: all of them. */
  notComparable: NotComparable[];
}

/**
 * The tables a link carries, with all it takes to compare them. `wanted` narrows the answer; a wanted table that the
 * link does not carry comes back as not comparable, never silently left out.
 */
export async function readLinkTables(
  publisher: Session,
  subscriber: Session,
  subscription: LinkSubscription,
  wanted: readonly TableName[] | null = null,
): Promise<LinkTables> {
  const subscribed = await subscriber.rows<TableName & { state: string }>(sql.subscribedTablesSql(), [
    subscription.oid,
  ]);
  const published = await publisher.rows<PublishedTable>(sql.publishedTablesSql(publisher.versionNum), [
    subscription.publications,
  ]);
  const missing = await missingPublications(publisher, subscription.publications);

  const states = new Map(subscribed.map((table) => [tableId(table), table.state]));
  const publications = groupBy(published, tableId);
  const names = new Map(
    [...subscribed, ...published].map(({ schema, name }) => [tableId({ schema, name }), { schema, name }]),
  );
  const chosen = wanted ? wanted.map(({ schema, name }) => ({ schema, name })) : [...names.values()];
  const [onPublisher, onSubscriber] = await Promise.all([
    catalogTables(publisher, chosen),
    catalogTables(subscriber, chosen),
  ]);
  const ours = await publisher.row<DatabaseSettings>(sql.databaseSettingsSql());
  const theirs = await subscriber.row<DatabaseSettings>(sql.databaseSettingsSql());

  const tables: LinkTables = { comparable: [], notComparable: [] };
  for (const table of chosen) {
    const id = tableId(table);
    const described = describeTable({
      table,
      state: states.get(id) ?? null,
      published: publications.get(id) ?? [],
      publishedIds: new Set(publications.keys()),
      missingPublications: missing,
      publisher: onPublisher.get(id) ?? null,
      subscriber: onSubscriber.get(id) ?? null,
      transcoding: transcodingOf(ours.encoding, theirs.encoding),
      sameBytes: ours.encoding === theirs.encoding && ours.encoding !== 'SQL_ASCII',
      agingSnapshots: { publisher: ours.oldSnapshotThreshold, subscriber: theirs.oldSnapshotThreshold },
    });
    if ('reason' in described) tables.notComparable.push(described);
    else tables.comparable.push(described);
  }
  return tables;
}

async function missingPublications(publisher: Session, names: readonly string[]): Promise<string[]> {
  const existing = await publisher.rows<{ name: string }>(sql.existingPublicationsSql(), [names]);
  const found = new Set(existing.map(({ name }) => name));
  return names.filter((name) => !found.has(name));
}

/** The tables of those names that exist, by quoted name. */
export async function catalogTables(session: Session, names: readonly TableName[]): Promise<Map<string, CatalogTable>> {
  const tables = await session.rows<Omit<CatalogTable, 'columns'>>(sql.tableDescriptionsSql(), [
    names.map(({ schema }) => schema),
    names.map(({ name }) => name),
  ]);
  const columns = await session.rows<CatalogColumn & { table: string }>(sql.tableColumnsSql(session.versionNum), [
    tables.map(({ oid }) => oid),
  ]);
  const byTable = groupBy(columns, (column) => column.table);
  return new Map(tables.map((table) => [tableId(table), { ...table, columns: byTable.get(table.oid) ?? [] }]));
}

/** `same`: texts have the same bytes; `utf8`: they do once converted; `impossible`: SQL_ASCII says nothing of its bytes. */
function transcodingOf(ours: string, theirs: string): 'same' | 'utf8' | 'impossible' {
  if (ours === theirs) return 'same';
  return ours === 'SQL_ASCII' || theirs === 'SQL_ASCII' ? 'impossible' : 'utf8';
}

function groupBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
