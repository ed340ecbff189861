import fc from 'fast-check';
import { PUBLISH_OPERATIONS } from '../../src/postgres/catalog/publications.js';
import type {
  PublicationPatch,
  PublicationSpec,
  PublicationTableSpec,
  PublicationTargetSpec,
} from '../../src/postgres/ddl/publication-spec.js';
import { identifier } from '../../src/postgres/quoting.js';
import { identifierProblem } from '../../src/shared/identifier.js';

const ODD = `Odd "ü" /%-- ;'$$`;
export const LONG = 'ä'.repeat(31) + 'z';
const COLUMN = 'Größe -- "x"';

export const SCHEMA = `
  create schema ${identifier(ODD)};
  create schema ${identifier(LONG)};
  create table orders (id int primary key, total numeric, note text, ${identifier(COLUMN)} int);
  create table ${identifier(ODD, ODD)} (id int primary key, ${identifier(COLUMN)} int);
  create table ${identifier(LONG, LONG)} (${identifier(LONG)} int primary key, note text);
  create table keyless (id int, note text);
  create table "full" (id int, note text, total numeric);
  alter table "full" replica identity full;
  create table nothing (id int primary key, note text);
  alter table nothing replica identity nothing;
  create table indexed (id int not null, total numeric not null, note text);
  create unique index by_both on indexed (id, total);
  alter table indexed replica identity using index by_both;
  create table measures (id int, note text, total numeric, primary key (id)) partition by range (id);
  create table measures_1 partition of measures for values from (0) to (10);
  create table ${identifier(ODD, 'measures 2')} partition of measures for values from (10) to (20);
  create table mixed (id int, note text) partition by range (id);
  create table mixed_1 partition of mixed (primary key (id)) for values from (0) to (10);
  create table mixed_2 partition of mixed for values from (10) to (20);
  create unlogged table mixed_3 partition of mixed for values from (20) to (30);
  create table computed (id int, twice int generated always as (id * 2) stored not null, note text);
  create unique index by_twice on computed (twice);
  alter table computed replica identity using index by_twice;
  create table computed_full (id int, twice int generated always as (id * 2) stored);
  alter table computed_full replica identity full;`;

export const VIRTUAL = `
  create table virtual (id int, twice int generated always as (id * 2) virtual);
  alter table virtual replica identity full;`;

/** Tables of the schema above with their columns; partitions too, they can be published by themselves. */
const TABLES: (PublicationTableSpec & { columns: string[] })[] = [
  { schema: 'public', name: 'orders', columns: ['id', 'total', 'note', COLUMN] },
  { schema: ODD, name: ODD, columns: ['id', COLUMN] },
  { schema: LONG, name: LONG, columns: [LONG, 'note'] },
  { schema: 'public', name: 'keyless', columns: ['id', 'note'] },
  { schema: 'public', name: 'full', columns: ['id', 'note', 'total'] },
  { schema: 'public', name: 'nothing', columns: ['id', 'note'] },
  { schema: 'public', name: 'indexed', columns: ['id', 'total', 'note'] },
  { schema: 'public', name: 'measures', columns: ['id', 'note', 'total'] },
  { schema: ODD, name: 'measures 2', columns: ['id', 'note', 'total'] },
  { schema: 'public', name: 'mixed', columns: ['id', 'note'] },
  { schema: 'public', name: 'mixed_1', columns: ['id', 'note'] },
  { schema: 'public', name: 'computed', columns: ['id', 'twice', 'note'] },
  { schema: 'public', name: 'computed_full', columns: ['id', 'twice'] },
];

/** Expressions over one column each, as people write them. */
const FILTERS: Record<string, string[]> = {
  id: ['id > 5', 'not (id = 3) or id is null', 'id = any (array[1, 2])', 'case when id > 1 then true else false end'],
  total: ['total between 1 and 2.50', '(total)>(0)'],
  note: [
    `note <> 'it''s; -- x'`,
    `note ~ E'a\\\\b\\'' and note like '100\\%' escape '\\'`,
    `note = $q$it's; )$q$ or length(note) > 3`,
    `note is distinct from U&'\\0041'`,
  ],
  [COLUMN]: [`${identifier(COLUMN)} is not null`],
  [LONG]: [`${identifier(LONG)} in (1, 2, 3)`],
  twice: ['twice > 1'],
};

const oddName = fc
  .oneof(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 15 }), fc.constantFrom(ODD, LONG, 'Upper', 'select'))
  .filter((name) => identifierProblem(name) === null);

const someTable: fc.Arbitrary<PublicationTableSpec> = fc.constantFrom(...TABLES).chain(({ schema, name, columns }) =>
  fc.record({
    schema: fc.constant(schema),
    name: fc.constant(name),
    columns: fc.option(fc.subarray(columns, { minLength: 1 }), { nil: null, freq: 1 }),
    where: fc.option(fc.constantFrom(...columns.flatMap((column) => FILTERS[column] ?? [])), { nil: null, freq: 1 }),
  }),
);
const someTables = fc.uniqueArray(someTable, {
  maxLength: 5,
  selector: ({ schema, name }) => identifier(schema, name),
});
const plain = (tables: PublicationTableSpec[]) => tables.map(({ schema, name }) => ({ schema, name }));

function targets(major: number): fc.Arbitrary<PublicationTargetSpec> {
  const listed = someTables.map((tables) => ({
    kind: 'tables' as const,
    tables: major < 15 ? plain(tables) : tables,
  }));
  const all = fc.constant({ kind: 'allTables' as const });
  if (major < 15) return fc.oneof({ weight: 5, arbitrary: listed }, { weight: 1, arbitrary: all });
  const schemas = fc
    .tuple(fc.subarray(['public', ODD, LONG], { minLength: 1 }), someTables)
    .map(([schemas, tables]) => ({
      kind: 'schemas' as const,
      schemas,
      tables: tables.map((table) => ({ ...table, columns: null })),
    }));
  return fc.oneof({ weight: 5, arbitrary: listed }, { weight: 2, arbitrary: schemas }, { weight: 1, arbitrary: all });
}

export function specs(major: number): fc.Arbitrary<PublicationSpec> {
  return fc.record({
    name: oddName,
    target: targets(major),
    publish: fc.subarray([...PUBLISH_OPERATIONS]),
    viaPartitionRoot: fc.boolean(),
    generatedColumns: major < 18 ? fc.constant('none' as const) : fc.constantFrom('none' as const, 'stored' as const),
  });
}

/** One field each; what is listed may be named, and what is not. Every field that a PATCH knows. */
function patches(major: number, { target }: PublicationSpec): fc.Arbitrary<PublicationPatch>[] {
  const table = someTable.map((each) => (major < 15 ? plain([each])[0]! : each));
  const listed = target.kind === 'allTables' ? [] : plain(target.tables ?? []);
  const leaving = fc.oneof(...(listed.length > 0 ? [fc.constantFrom(...listed)] : []), table);
  return [
    fc.record({ publish: fc.subarray([...PUBLISH_OPERATIONS]) }),
    fc.record({ viaPartitionRoot: fc.boolean() }),
    fc.constant({ generatedColumns: 'none' }),
    fc.constant({ generatedColumns: 'stored' }),
    fc.record({ name: oddName }),
    fc.record({ owner: fc.constantFrom('pg_monitor', 'postgres') }),
    fc.record({ target: targets(major) }),
    someTables.map((tables) => ({ target: { kind: 'tables', tables: plain(tables) } })),
    table.map((each) => ({ addTables: [each] })),
    table.map((each) => ({ setTables: [each] })),
    leaving.map((each) => ({ removeTables: plain([each]) })),
    ...(major < 15
      ? []
      : [
          fc.constant<PublicationPatch>({ addSchemas: [ODD] }),
          fc.constant<PublicationPatch>({ removeSchemas: [LONG] }),
        ]),
  ];
}

/** A publication, and what is asked to be changed of it, one after the other. */
export function patched(major: number): fc.Arbitrary<[PublicationSpec, PublicationPatch[]]> {
  return specs(major).chain((spec) => {
    const kinds = patches(major, spec);
    const shuffled = fc.shuffledSubarray(kinds, { minLength: kinds.length });
    return fc.tuple(
      fc.constant(spec),
      shuffled.chain((order) => fc.tuple(...order)),
    );
  });
}

/** Lists that some rule is against where updates are published, and not by way of the root. */
const SPOILING: PublicationTableSpec[] = [
  { schema: 'public', name: 'orders', columns: ['total'], where: null },
  { schema: 'public', name: 'orders', columns: null, where: 'total > 0' },
  { schema: 'public', name: 'full', columns: ['id'], where: null },
  { schema: 'public', name: 'measures', columns: null, where: 'id > 5' },
  { schema: 'public', name: 'indexed', columns: ['id', 'note'], where: null },
];

/** The same with one table more by which it cannot be; null before there were lists that could be wrong. */
export function spoilt(major: number): fc.Arbitrary<PublicationTableSpec | null> {
  return major < 15 ? fc.constant(null) : fc.constantFrom(...SPOILING);
}

export function withTable(spec: PublicationSpec, table: PublicationTableSpec): PublicationSpec {
  const others = spec.target.kind === 'tables' ? spec.target.tables.filter((each) => keyOf(each) !== keyOf(table)) : [];
  const target = { kind: 'tables' as const, tables: [...others, table] };
  return { ...spec, target, publish: ['insert', 'update'], viaPartitionRoot: false };
}

export const keyOf = ({ schema, name }: { schema: string; name: string }) => identifier(schema, name);
