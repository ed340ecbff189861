import type { BrokenIdentity, PublishedTable } from '../postgres/catalog/published-tables.js';
import type { Publication } from '../postgres/catalog/publications.js';
import { COMBINATION_RULES, refusal, type RuleName } from '../postgres/ddl/options/combination-rules.js';
import type { NamedTable } from '../postgres/ddl/publication-spec.js';
import { mendIdentity } from '../postgres/ddl/table-change.ddl.js';
import { canBeAskedFor } from '../postgres/ddl/subscription.ddl.js';
import { identifier } from '../postgres/quoting.js';
import { PG19 } from '../shared/server-version.js';

type Operation = Publication['publish'][number];

/** Why UPDATE and DELETE of a table fail on the publisher, by the rule that is broken. */
export interface WriteFailure {
  rule: RuleName;
  detail: string;
}

/** A table a publication really sends, and whether the publisher would refuse to UPDATE or DELETE its rows. */
export interface EffectiveTable extends Omit<PublishedTable, 'broken' | 'fullIncomparable'> {
  operations: Operation[];
  updatesFail: boolean;
  /** Those of UPDATE and DELETE that fail on the publisher. */
  failing: ('update' | 'delete')[];
  failures: WriteFailure[];
  /** Columns that subscribers cannot compare: replica identity full is not offered, or lets applying fail. */
  incomparableColumns: string[];
  /** SQL that mends it on the publisher; empty where nothing fails, or only the publication can be changed. */
  fix: string[];
}

/** What should be known before, and after, a publication is as it is or was asked to be; nothing is refused for it. */
export interface PublicationWarning {
  rule: RuleName;
  detail: string;
  /** How many tables it is about. */
  tableCount: number;
  /** The first of them. */
  tables: { schema: string; name: string }[];
  /** SQL for the publisher, for those of them. */
  fix: string[];
}

/** Most tables, and statements, a warning names. */
const MOST_NAMED = 100;
const MOST_IN_TEXT = 3;

const GIVE_KEY = 'give it a primary key, or a unique index on NOT NULL columns';

/** Refused where the request brings it about: the caller wrote the filter or the list. */
const REFUSED: readonly RuleName[] = ['filter-within-identity', 'columns-hold-identity'];

/** The ways in which a replica identity does not do, by the rule that each breaks. */
const BREAKS = {
  'identity-usable': 'lacking',
  'filter-within-identity': 'filterOutside',
  'columns-hold-identity': 'unlisted',
  'identity-is-published': 'unpublished',
} as const satisfies Partial<Record<RuleName, keyof BrokenIdentity>>;
type Break = keyof typeof BREAKS;
const BREAK_RULES = Object.keys(BREAKS) as Break[];

export function effectiveTables(
  { publish }: Pick<Publication, 'publish'>,
  tables: readonly PublishedTable[],
): EffectiveTable[] {
  const carryOldRows = (['update', 'delete'] as const).filter((operation) => publish.includes(operation));
  return tables.map(({ broken: found, fullIncomparable, ...table }) => {
    const broken = carryOldRows.length > 0 ? found : [];
    const rules = BREAK_RULES.filter((rule) => broken.some((relation) => relation[BREAKS[rule]]));
    const byFull = carryOldRows.length > 0 && rules.length === 0 ? fullIncomparable : [];
    return {
      ...table,
      operations: publish,
      updatesFail: rules.length > 0,
      failing: rules.length > 0 ? carryOldRows : [],
      failures: rules.map((rule) => {
        const relations = broken.filter((relation) => relation[BREAKS[rule]]);
        return { rule, detail: `${failureOf(rule, table, relations)}${withoutFull(relations)}` };
      }),
      incomparableColumns: [
        ...new Set([...broken.filter(isStuck).flatMap(({ incomparable }) => incomparable), ...byFull]),
      ],
      fix: broken.flatMap(mendIdentity).map(({ sql }) => `${sql};`),
    };
  });
}

/**
 * Throws CONFLICT for tables whose filter or column list makes their UPDATEs and DELETEs fail, and did not before.
 * `wanted` tells where in the request they are.
 */
export function refuseFailingLists(
  wanted: readonly NamedTable[],
  after: readonly EffectiveTable[],
  before: readonly EffectiveTable[] = [],
): void {
  const places = new Map(wanted.map((table) => [tableName(table), table.pointer]));
  const known = new Set(before.flatMap((table) => table.failures.map(({ rule }) => failureKey(table, rule))));
  for (const rule of REFUSED) {
    const broken = after.filter(
      (table) => table.failures.some((each) => each.rule === rule) && !known.has(failureKey(table, rule)),
    );
    if (broken.length === 0) continue;
    const errors = broken.slice(0, MOST_NAMED).map((table) => ({
      pointer: placeOf(places.get(tableName(table)), rule),
      detail: `${tableName(table)}: ${table.failures.find((each) => each.rule === rule)!.detail}`,
    }));
    const detail = `every UPDATE and DELETE of ${named(broken)} would fail on the publisher`;
    throw refusal(rule, 'CONFLICT', detail, errors);
  }
}

/** No index would do, and full would only move the failure to the subscriber. */
function isStuck({ index, incomparable }: BrokenIdentity): boolean {
  return index === null && incomparable.length > 0;
}

function withoutFull(relations: readonly BrokenIdentity[]): string {
  const columns = [...new Set(relations.filter(isStuck).flatMap(({ incomparable }) => incomparable))];
  if (columns.length === 0) return '';
  const list = columns.map((column) => identifier(column)).join(', ');
  return `; replica identity full would not do, for subscribers cannot compare ${list}: ${GIVE_KEY}`;
}

/** Of the tables that replica identity full is not offered for, since subscribers could not find their rows by it. */
function notByFull(failing: readonly EffectiveTable[]): string {
  const tables = failing.filter(({ incomparableColumns }) => incomparableColumns.length > 0);
  if (tables.length === 0) return '';
  return ` Subscribers could not compare the rows of ${named(tables)}, so replica identity full would not do there: ${GIVE_KEY}.`;
}

export function warningsOf(
  tables: readonly EffectiveTable[],
  walLevel: string,
  versionNum: number,
): PublicationWarning[] {
  const warnings: PublicationWarning[] = [];
  for (const rule of BREAK_RULES) {
    const failing = tables.filter(({ failures }) => failures.some((each) => each.rule === rule));
    if (failing.length === 0) continue;
    const operations = failing[0]!.failing.map((operation) => operation.toUpperCase()).join(' and ');
    const detail = `${operations} of ${named(failing)} fail on the publisher while they are published`;
    warnings.push(warning(rule, `${detail}. ${COMBINATION_RULES[rule].instead}${notByFull(failing)}`, failing));
  }
  const byFull = tables.filter(
    ({ updatesFail, incomparableColumns }) => !updatesFail && incomparableColumns.length > 0,
  );
  if (byFull.length > 0) {
    const columnsOf = ({ incomparableColumns }: EffectiveTable) =>
      incomparableColumns.map((column) => identifier(column)).join(', ');
    const each = byFull.slice(0, MOST_IN_TEXT).map((table) => `${tableName(table)} (${columnsOf(table)})`);
    const more = byFull.length > MOST_IN_TEXT ? ` and ${byFull.length - MOST_IN_TEXT} more` : '';
    const detail = `subscribers cannot compare every column of ${each.join(', ')}${more}, whose replica identity is full: applying UPDATE and DELETE stops there where the table has no primary key`;
    warnings.push(warning('full-compares', `${detail}. ${COMBINATION_RULES['full-compares'].instead}`, byFull));
  }
  if (walLevel !== 'logical' && versionNum < PG19) {
    warnings.push(
      warning(
        'wal-level',
        `wal_level is ${walLevel}: nothing is sent until it is logical`,
        [],
        ['alter system set wal_level = logical;'],
      ),
    );
  }
  return warnings;
}

export function warningOfName({ name }: Publication): PublicationWarning[] {
  if (canBeAskedFor(name)) return [];
  const { says, instead } = COMBINATION_RULES['name-can-be-asked-for'];
  return [warning('name-can-be-asked-for', `${says} ${instead}`, [])];
}

/** What subscribers have to do after the publication changed from `before` to `after`. */
export function warningsForSubscribers(
  before: { publication: Publication; tables: readonly EffectiveTable[] },
  after: { publication: Publication; tables: readonly EffectiveTable[] },
): PublicationWarning[] {
  const warnings: PublicationWarning[] = [];
  const known = new Set(before.tables.map(tableName));
  const joined = after.tables.filter((table) => !known.has(tableName(table)));
  if (joined.length > 0) {
    const detail = `subscribers get ${named(joined)} once their subscriptions are refreshed`;
    warnings.push(warning('subscribers-refresh', detail, joined, []));
  }
  if (before.publication.name !== after.publication.name) {
    const detail = `subscriptions to ${JSON.stringify(before.publication.name)} stop with an error until they are given the new name`;
    warnings.push(warning('subscribers-know-names', detail, []));
  }
  return warnings;
}

/** What is not listed in the request fails by the operations that it publishes. */
function placeOf(pointer: string | undefined, rule: RuleName): string {
  if (pointer === undefined) return '#/publish';
  return `#${pointer}/${rule === 'filter-within-identity' ? 'where' : 'columns'}`;
}

function failureOf(
  rule: Break,
  { identityColumns, replicaIdentity }: Omit<PublishedTable, 'broken' | 'fullIncomparable'>,
  relations: readonly BrokenIdentity[],
): string {
  const identity = identityColumns.length === 0 ? 'empty' : identityColumns.join(', ');
  switch (rule) {
    case 'identity-usable':
      return `no replica identity: ${named(relations)}`;
    case 'filter-within-identity':
      return `the row filter uses columns outside the replica identity (${identity}): ${named(relations)}`;
    case 'columns-hold-identity':
      return replicaIdentity === 'full'
        ? 'the replica identity is full, so no column can be left out'
        : `the column list leaves out columns of the replica identity (${identity}): ${named(relations)}`;
    case 'identity-is-published':
      return `the replica identity (${identity}) has a generated column that is not sent: ${named(relations)}`;
  }
}

function warning(
  rule: RuleName,
  detail: string,
  tables: readonly EffectiveTable[],
  fix: string[] = tables.flatMap((table) => table.fix),
): PublicationWarning {
  return {
    rule,
    detail,
    tableCount: tables.length,
    tables: tables.slice(0, MOST_NAMED).map(({ schema, name }) => ({ schema, name })),
    fix: fix.slice(0, MOST_NAMED),
  };
}

function tableName({ schema, name }: { schema: string; name: string }): string {
  return identifier(schema, name);
}

function failureKey(table: EffectiveTable, rule: RuleName): string {
  return `${rule} ${tableName(table)}`;
}

function named(tables: readonly { schema: string; name: string }[]): string {
  const first = tables.slice(0, MOST_IN_TEXT).map(tableName).join(', ');
  return tables.length > MOST_IN_TEXT ? `${first} and ${tables.length - MOST_IN_TEXT} more` : first;
}
