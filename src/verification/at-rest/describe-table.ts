import type { ComparedColumn, Conversion, NotComparable, TableName, TableShape } from './table-shape.js';

/** What one publication sends of a table. */
export interface PublishedTable extends TableName {
  publication: string;
  /** It publishes INSERT, UPDATE and DELETE. */
  allRowChanges: boolean;
  viaRoot: boolean;
  /** Null: the server is older than column lists. */
  columns: string[] | null;
  rowFilter: string | null;
  /** Quoted names of the partitioned tables above it. */
  under: string[];
}

export interface CatalogColumn {
  name: string;
  type: string;
  generated: boolean;
  /** GENERATED ALWAYS AS IDENTITY. */
  identityAlways: boolean;
  /** The type below any domains as SQL writes it, with its modifier. */
  baseType: string;
  baseSchema: string;
  baseName: string;
  /** pg_type.typtype of the type below any domains. */
  baseKind: string;
  equalitySchema: string;
  notNull: boolean;
  /** Its order is that of its bytes or value, the same on every server, whatever the collations. */
  universalOrder: boolean;
}

/** A table as one side's catalog describes it. */
export interface CatalogTable extends TableName {
  oid: string;
  kind: 'r' | 'p';
  replicaIdentity: 'd' | 'n' | 'f' | 'i';
  readable: boolean;
  rowSecurity: boolean;
  primaryKey: string[] | null;
  identityIndex: string[] | null;
  /** Columns of each btree index over all rows, in its order. */
  indexes: string[][];
  rows: number;
  bytes: number;
  columns: CatalogColumn[];
}

export interface TableEvidence {
  table: TableName;
  /** pg_subscription_rel.srsubstate; null: the subscription does not know the table. */
  state: string | null;
  /** One entry for each publication of the subscription that sends it. */
  published: readonly PublishedTable[];
  /** Quoted names of all tables those publications send. */
  publishedIds: ReadonlySet<string>;
  missingPublications: readonly string[];
  publisher: CatalogTable | null;
  subscriber: CatalogTable | null;
  transcoding: 'same' | 'utf8' | 'impossible';
  /** Texts have the same bytes on both sides, and we read them as they are. */
  sameBytes: boolean;
  /** `old_snapshot_threshold` of each side; null where it is off. */
  agingSnapshots: { publisher: string | null; subscriber: string | null };
}

/** What it takes to compare one table, or why it cannot be compared. */
export function describeTable(evidence: TableEvidence): TableShape | NotComparable {
  const { table, publisher, subscriber, published } = evidence;
  const reason = obstacle(evidence);
  if (reason !== null || !publisher || !subscriber) return { ...table, reason: reason ?? 'the table is missing' };

  const columns: ComparedColumn[] = [];
  const theirs = new Map(subscriber.columns.map((column) => [column.name, column]));
  for (const ours of publishedColumns(publisher, published)) {
    const other = theirs.get(ours.name);
    if (!other || other.generated) {
      const what = other ? 'is generated' : 'does not exist';
      return { ...table, reason: `the published column "${ours.name}" ${what} on the subscriber` };
    }
    const conversion = conversionOf(ours, other);
    if (conversion === null) {
      const types = `${ours.type} on the publisher, ${other.type} on the subscriber`;
      return { ...table, reason: `the column "${ours.name}" has types that cannot be compared: ${types}` };
    }
    columns.push({
      name: ours.name,
      publisher: { type: ours.type, equalitySchema: ours.equalitySchema },
      subscriber: { type: other.type, equalitySchema: other.equalitySchema },
      conversion,
      identityAlways: other.identityAlways,
      baseType: other.baseType,
      builtinType: other.baseSchema === 'pg_catalog' && other.baseKind !== 'c' ? other.baseName : null,
    });
  }
  const key = keyColumns(publisher, columns);
  return {
    ...table,
    columns,
    key,
    oids: [publisher.oid, subscriber.oid],
    orderedKey: key !== null && isOrderedAlike(key, publisher, subscriber, evidence.sameBytes),
    slice: null,
    publisherOnly: publisher.kind !== 'p',
    subscriberOnly: subscriber.kind !== 'p',
    rowFilter: combinedFilter(published),
    transcode: evidence.transcoding === 'utf8',
    estimatedRows: publisher.rows,
    bytes: publisher.bytes,
  };
}

const COPY_STATES: Record<string, string> = {
  i: 'has not begun',
  d: 'is running',
  f: 'is done, catching up has not begun',
  s: 'is done, the table is catching up',
};

function obstacle(evidence: TableEvidence): string | null {
  const { state, published, publisher, subscriber } = evidence;
  if (state === null) {
    return published.length > 0
      ? 'the subscription does not know the table yet; refresh the subscription'
      : 'the subscription does not carry the table';
  }
  if (published.length === 0) {
    const lost = evidence.missingPublications;
    return lost.length > 0
      ? `none of the subscription's publications sends the table, and these do not exist: ${lost.join(', ')}`
      : "none of the subscription's publications sends the table";
  }
  if (state !== 'r') return `the initial copy ${COPY_STATES[state] ?? `is in state ${state}`}`;
  if (!publisher) return 'the table does not exist on the publisher';
  if (!subscriber) return 'the table does not exist on the subscriber';
  for (const [side, table] of Object.entries({ publisher, subscriber })) {
    if (!table.readable) return `the login may not read the table on the ${side}; grant USAGE on its schema and SELECT`;
    if (table.rowSecurity) return `row security hides rows on the ${side}; the login needs BYPASSRLS`;
  }
  for (const [side, threshold] of Object.entries(evidence.agingSnapshots)) {
    // The server notices only in the session that took the snapshot that rows were removed from under it.
    if (threshold !== null) {
      return `old_snapshot_threshold is ${threshold} on the ${side}, so rows may be removed that a snapshot needs; set it to -1`;
    }
  }
  if (evidence.transcoding === 'impossible')
    return 'the encodings differ and one is SQL_ASCII, which says nothing of its bytes';
  const root = published.flatMap(({ under }) => under).find((ancestor) => evidence.publishedIds.has(ancestor));
  if (root !== undefined && published.some(({ viaRoot }) => !viaRoot)) {
    return `the partition is published by itself and as part of ${root}`;
  }
  return publicationObstacle(published);
}

function publicationObstacle(published: readonly PublishedTable[]): string | null {
  const partial = published.filter(({ allRowChanges }) => !allRowChanges);
  const names = partial.map(({ publication }) => publication).join(', ');
  if (partial.length === published.length) {
    return `the subscriber is meant to differ: ${names} does not publish all of INSERT, UPDATE and DELETE`;
  }
  if (partial.length > 0 && published.some(({ rowFilter }) => rowFilter !== null)) {
    return `row filters are combined with ${names}, which does not publish all of INSERT, UPDATE and DELETE`;
  }
  return null;
}

/** The columns the stream carries: the publications' lists, and never a generated column that none of them names. */
function publishedColumns(table: CatalogTable, published: readonly PublishedTable[]): CatalogColumn[] {
  const lists = published.map(({ columns }) => columns);
  return table.columns.filter((column) => {
    if (lists.some((list) => list === null)) return !column.generated;
    return lists.some((list) => list!.includes(column.name));
  });
}

/**
 * The columns by which rows are told apart. They must be in every change the stream carries: the replica identity
 * index, else the primary key (with REPLICA IDENTITY FULL whole rows come, which contain it).
 */
function keyColumns(table: CatalogTable, columns: readonly ComparedColumn[]): ComparedColumn[] | null {
  const names = table.replicaIdentity === 'i' ? table.identityIndex : table.primaryKey;
  if (!names || names.length === 0) return null;
  const key = names.map((name) => columns.find((column) => column.name === name));
  return key.every((column) => column !== undefined) ? key : null;
}

const INTEGERS = new Set(['int2', 'int4', 'int8']);
/** Built-in types of one order, whatever the server; text only where a collation says so. */
const ORDERED_ALIKE = new Set([
  ...['oid', 'uuid', 'bool', 'date', 'time', 'timestamp', 'timestamptz', 'numeric', 'bytea', 'text', 'varchar'],
]);

function isOrderedAlike(
  key: readonly ComparedColumn[],
  publisher: CatalogTable,
  subscriber: CatalogTable,
  sameBytes: boolean,
): boolean {
  const columnsOf = ({ columns }: CatalogTable) => key.map(({ name }) => columns.find((each) => each.name === name)!);
  const isOrdered = (table: CatalogTable) =>
    columnsOf(table).every(
      ({ baseSchema, notNull, universalOrder }) => baseSchema === 'pg_catalog' && notNull && universalOrder,
    ) && table.indexes.some((index) => key.every(({ name }, position) => index[position] === name));
  const [ours, theirs] = [columnsOf(publisher), columnsOf(subscriber)];
  // What a cast rounds or cuts may be on the other side of a boundary afterwards.
  const alike = ({ conversion }: ComparedColumn, position: number) => {
    const types = [ours[position]!.baseName, theirs[position]!.baseName];
    if (['text', 'varchar'].includes(types[0]!) && !sameBytes) return false;
    return types.every((type) => INTEGERS.has(type)) || (conversion === 'none' && ORDERED_ALIKE.has(types[0]!));
  };
  return isOrdered(publisher) && isOrdered(subscriber) && key.every(alike);
}

/** Rows that any of the publications sends; one without a filter sends all. */
function combinedFilter(published: readonly PublishedTable[]): string | null {
  const filters = published.map(({ rowFilter }) => rowFilter);
  if (filters.some((filter) => filter === null)) return null;
  return [...new Set(filters)].map((filter) => `(${filter})`).join(' or ');
}

function conversionOf(publisher: CatalogColumn, subscriber: CatalogColumn): Conversion | null {
  const sameBase = publisher.baseSchema === subscriber.baseSchema && publisher.baseName === subscriber.baseName;
  // Two domains of one name may be different ones.
  if (publisher.type === subscriber.type && publisher.baseType === subscriber.baseType && sameBase) return 'none';
  if (subscriber.baseKind === 'e') return 'text';
  if (subscriber.baseSchema !== 'pg_catalog' || subscriber.baseKind !== 'b') return null;
  if (sameBase && publisher.baseType === subscriber.baseType) return 'cast';
  // A cast to these cuts off or fills up, where apply would fail.
  if (/^_?(bit|varbit)$|^_(varchar|bpchar)$/.test(subscriber.baseName) && subscriber.baseType.includes('('))
    return null;
  // What apply makes of them depends on the time zones of the sessions at work.
  const zoned = ({ baseSchema, baseName }: CatalogColumn) =>
    baseSchema === 'pg_catalog' && /^_?timestamptz$/.test(baseName);
  return zoned(publisher) === zoned(subscriber) ? 'cast' : null;
}
