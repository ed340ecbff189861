import { describe, expect, it } from '@jest/globals';
import type { SentTable } from '../../postgres/catalog/sent-tables.js';
import type { ColumnDefinition, TableDefinition } from '../../postgres/catalog/table-definitions.js';
import { noRules } from '../../postgres/catalog/table-rules.js';
import { compareLink, type LinkSchema } from './compare-link.js';
import { arrange } from './mending.js';

function column(name: string, position: number, more: Partial<ColumnDefinition> = {}): ColumnDefinition {
  return {
    ...{ name, position, type: 'integer', base: more.type ?? 'integer', builtIn: true, enumName: null, labels: null },
    ...{
      compositeName: null,
      attributes: null,
      collation: null,
      notNull: false,
      hasDefault: false,
      default: null,
      generated: null,
    },
    ...more,
  };
}

function table(name: string, columns: ColumnDefinition[], more: Partial<TableDefinition> = {}): TableDefinition {
  const key = { primary: true, identity: false, immediate: true, constraint: true };
  return {
    ...{ schema: 'public', name, kind: 'r', replicaIdentity: 'default' as const, root: null, columns },
    keys: [{ name: `${name}_pkey`, columns: ['id'], ...key }],
    ...{ withoutEquality: [], rules: noRules() },
    ...more,
  };
}

function sends({ schema, name, columns }: TableDefinition, more: Partial<SentTable> = {}): SentTable {
  const names = columns.filter(({ generated }) => generated === null).map((each) => each.name);
  return {
    schema,
    name,
    columns: names,
    identified: true,
    identityColumns: ['id'],
    broken: [],
    unlike: [],
    filtered: false,
    ...more,
  };
}

function schema(ours: TableDefinition[], theirs: TableDefinition[], more: Partial<LinkSchema> = {}): LinkSchema {
  return {
    ...{
      subscription: 's',
      binary: false,
      enabled: true,
      twoPhase: false,
      sent: { tables: ours.map((each) => sends(each)), missing: [] },
    },
    ...{ onPublisher: ours, onSubscriber: theirs, subscribed: theirs },
    known: { types: new Set(), schemas: new Set(['public']) },
    versions: { publisher: 160000, subscriber: 160000 },
    ...{ owner: 'o', runAsOwner: false, copies: { login: 'l', complete: false } },
    ...more,
  };
}

const ends = {
  publisher: { server: 'source', database: 'd' },
  subscriber: { server: 'sink', database: 'd' },
};
const id = column('id', 1, { notNull: true });
const kinds = (link: LinkSchema) => compareLink(link).map(({ kind }) => kind);
const sql = (link: LinkSchema) =>
  arrange(compareLink(link), ends).statements.map((each) => `${each.server}: ${each.sql}`);

describe('the schemas of both ends of a link', () => {
  it('has no refresh that copies once two_phase is enabled', () => {
    const [t, u] = [table('t', [id]), table('u', [id])];
    const link = schema([t], [t], { twoPhase: true, subscribed: [] });
    expect(compareLink(link)).toMatchObject([{ kind: 'table-not-subscribed', mends: [] }]);
    expect(compareLink(link)[0]!.advice).toContain('two_phase');
    expect(sql(schema([], [u], { twoPhase: true, subscribed: [u] }))).toEqual([
      'sink: alter subscription "s" refresh publication with (copy_data = false)',
    ]);
    expect(sql(schema([t], [], { twoPhase: true, subscribed: [] }))).toHaveLength(1);
  });

  it('are alike whatever the order of columns, what is not sent, and what the subscriber holds less tightly', () => {
    const ours = table('t', [
      id,
      column('a', 2, { notNull: true }),
      column('b', 3),
      column('sum', 4, { generated: 'stored' }),
    ]);
    const theirs = table('t', [column('b', 1), column('id', 4, { notNull: true }), column('a', 7), column('sum', 9)]);
    expect(kinds(schema([ours], [theirs]))).toEqual([]);
  });

  it('take a column of another place for a new one, and one of the same place and type for a renamed one', () => {
    const ours = table('t', [id, column('new', 3)]);
    expect(kinds(schema([ours], [table('t', [id, column('old', 2)])]))).toEqual(['column-missing', 'column-extra']);
    expect(kinds(schema([ours], [table('t', [id, column('old', 3, { type: 'text' })])]))).toContain('column-missing');
    // It may as well be a column of the subscriber's own, whose values a rename would give up.
    const guessed = schema([ours], [table('t', [id, column('old', 3)])]);
    expect(sql(guessed)).toEqual([]);
    expect(arrange(compareLink(guessed), ends).findings).toMatchObject([
      {
        ...{ kind: 'column-renamed', impact: 'stops-apply' },
        advice: expect.stringContaining('alter table "public"."t" add column "new" integer'),
        statements: [{ sql: 'alter table "public"."t" rename column "old" to "new"' }],
      },
    ]);
  });

  it('are not taken for renamed where more than one table could be it', () => {
    const ours = [table('x', [id]), table('y', [id])];
    const gone = [table('a', [id]), table('b', [id])];
    expect(kinds(schema(ours, gone))).toEqual([
      'table-missing',
      'table-missing',
      'table-not-published',
      'table-not-published',
    ]);
    const one = schema([ours[0]!], [gone[0]!]);
    expect(kinds(one)).toEqual(['table-renamed']);
    expect(sql(one)).toEqual([]);
  });

  it('are mended on the subscriber first by what adds, and on the publisher first by what takes away', () => {
    const ours = table('t', [id, column('a', 2), column('w', 3)]);
    const theirs = table('t', [id, column('w', 2, { type: 'bigint' }), column('gone', 3, { notNull: true })], {
      keys: [
        ...table('t', []).keys,
        { name: 'u', columns: ['w'], primary: false, identity: false, immediate: true, constraint: false },
      ],
    });
    const { findings, statements } = arrange(
      compareLink(schema([ours, table('n', [id])], [theirs], { subscribed: [] })),
      ends,
    );
    expect(statements.map((each) => `${each.server}: ${each.sql}`)).toEqual([
      'sink: alter table "public"."t" add column "a" integer',
      'sink: alter table "public"."t" alter column "gone" drop not null',
      'sink: create table "public"."n" ("id" integer not null, primary key ("id"))',
      'source: alter table "public"."t" alter column "w" type bigint',
      'sink: drop index "public"."u"',
      'sink: alter subscription "s" refresh publication with (copy_data = true)',
    ]);
    expect(statements.map(({ order }) => order)).toEqual([1, 2, 3, 4, 5, 6]);
    const refreshing = findings.filter((each) => each.statements.some(({ order }) => order === 6));
    expect(refreshing.map(({ kind }) => kind)).toEqual(['table-not-subscribed', 'table-missing']);
  });

  it('never drop a column but with the finding that names it', () => {
    const link = schema([table('t', [id])], [table('t', [id, column('own', 2)])]);
    const { findings, statements } = arrange(compareLink(link), ends);
    expect(statements).toEqual([]);
    expect(findings).toMatchObject([
      {
        kind: 'column-extra',
        impact: 'none',
        statements: [{ order: 1, sql: 'alter table "public"."t" drop column "own"' }],
      },
    ]);
  });

  it('make what types need first, and say what they cannot make', () => {
    const mood = {
      type: 'public.mood',
      base: 'public.mood',
      builtIn: false,
      enumName: ['public', 'mood'] as [string, string],
      labels: ['a'],
    };
    const money = { type: 'public.money2', base: 'numeric', enumName: null };
    const theirs = table('t', [id]);
    expect(sql(schema([table('t', [id, column('m', 2, mood)])], [theirs]))).toEqual([
      `sink: create type "public"."mood" as enum ('a')`,
      'sink: alter table "public"."t" add column "m" public.mood',
    ]);
    const link = schema([table('t', [id, column('m', 2, money)])], [theirs]);
    expect(compareLink(link)).toMatchObject([{ mends: [], advice: expect.stringContaining('public.money2') }]);
    const known = { types: new Set(['public.money2']), schemas: new Set(['public']) };
    expect(sql({ ...link, known })).toEqual(['sink: alter table "public"."t" add column "m" public.money2']);
  });

  it('give a new column its default only where every server reads it alike', () => {
    const added = (value: string) =>
      sql(schema([table('t', [id, column('c', 2, { hasDefault: true, default: value })])], [table('t', [id])]))[0]!;
    for (const value of [`'it''s'::text`, '5', '(-1)', `'-1'::integer`, 'true', `'{}'::character varying(5)[]`]) {
      expect(added(value)).toContain(` default ${value}`);
    }
    for (const value of ['now()', `nextval('public.s'::regclass)`, `'a'::text || 'b'::text`, `'a'::public.mood`]) {
      expect(added(value)).not.toContain('default');
    }
  });

  it('differ by domains of one name, which nothing can alter', () => {
    const domain = (base: string) => column('d', 2, { type: 'public.d', base });
    const link = schema([table('t', [id, domain('integer')])], [table('t', [id, domain('bigint')])]);
    expect(compareLink(link)).toMatchObject([{ kind: 'column-type', impact: 'may-differ', mends: [] }]);
  });

  it('differ by the attributes of composite types of one name, which are read by place', () => {
    const attributes = (...pairs: [string, string][]) => pairs.map(([name, type]) => ({ path: name.split('.'), type }));
    const two = attributes(['street', 'text'], ['at', 'public.point2'], ['at.x', 'integer']);
    const between = (ours: ReturnType<typeof attributes>, theirs: typeof ours, more: Partial<LinkSchema> = {}) => {
      const of = (list: typeof ours) => {
        const type = { type: 'public.addr', builtIn: false, compositeName: ['public', 'addr'] as [string, string] };
        return table('t', [id, column('addr', 2, { ...type, attributes: list })]);
      };
      return schema([of(ours)], [of(theirs)], more);
    };
    expect(kinds(between(two, two))).toEqual([]);
    const grown = between([...two, ...attributes(['o"dd ü', 'numeric(10,2)'], ['zip', 'text'])], two);
    expect(compareLink(grown)).toMatchObject([{ kind: 'type-attributes', column: 'addr', impact: 'stops-apply' }]);
    expect(sql(grown)).toEqual([
      'sink: alter type "public"."addr" add attribute "o""dd ü" numeric(10,2)',
      'sink: alter type "public"."addr" add attribute "zip" text',
    ]);
    const one = (type: string, name = 'a') => attributes([name, type]);
    const unmended: [LinkSchema, string][] = [
      [between(two, [...two, ...attributes(['zip', 'text'])]), 'stops-apply'],
      [between([...two, ...attributes(['at.y', 'integer'])], two), 'stops-apply'],
      [between(one('integer'), one('bigint')), 'may-differ'],
      [between(one('integer'), one('bigint'), { binary: true }), 'stops-apply'],
      [between(one('text'), one('integer')), 'may-stop-apply'],
      [between(one('text'), one('text', 'b')), 'may-differ'],
    ];
    for (const [link, impact] of unmended) {
      expect(compareLink(link)).toMatchObject([{ kind: 'type-attributes', impact, mends: [] }]);
    }
  });

  it('stop apply by any difference of types where the subscription is binary', () => {
    const ours = table('t', [id, column('n', 2)]);
    const theirs = table('t', [id, column('n', 2, { type: 'bigint' })]);
    expect(compareLink(schema([ours], [theirs], { binary: true }))).toMatchObject([{ impact: 'stops-apply' }]);
    expect(compareLink(schema([ours], [theirs]))).toMatchObject([{ impact: 'may-differ', side: 'publisher' }]);
  });

  it('need a key that the publisher sends, unless nothing is updated', () => {
    const ours = table('t', [id, column('a', 2)]);
    const keyless = table('t', [id, column('a', 2)], { keys: [] });
    expect(kinds(schema([ours], [keyless]))).toEqual(['replica-identity']);
    const inserts = { tables: [sends(ours, { identified: false, identityColumns: [] })], missing: [] };
    expect(kinds(schema([ours], [keyless], { sent: inserts }))).toEqual([]);
    const full = table('t', ours.columns, { replicaIdentity: 'full', keys: [] });
    expect(kinds(schema([full], [keyless]))).toEqual([]);
    // Whose types the subscriber cannot compare: only of what is sent, and where there is no key.
    const found = schema([full], [{ ...keyless, withoutEquality: ['a'] }]);
    expect(compareLink(found)).toMatchObject([
      { kind: 'replica-identity', side: 'subscriber', impact: 'may-stop-apply', mends: [] },
    ]);
    expect(kinds(schema([full], [{ ...keyless, withoutEquality: ['own'] }]))).toEqual([]);
    const keyed = { ...full, keys: ours.keys };
    expect(sql(schema([keyed], [{ ...keyless, withoutEquality: ['a'] }]))).toEqual([
      'sink: alter table "public"."t" add primary key ("id")',
    ]);
  });

  it('need a key that is not deferrable, which is made beside a primary key that is', () => {
    const deferrable = table('t', [id]).keys.map((key) => ({ ...key, immediate: false }));
    const link = schema([table('t', [id])], [table('t', [id], { keys: deferrable })]);
    expect(compareLink(link)).toMatchObject([
      { kind: 'replica-identity', side: 'subscriber', detail: expect.stringContaining('that is not deferrable') },
    ]);
    expect(sql(link)).toEqual([
      'sink: create unique index "t_identity" on "public"."t" ("id")',
      'sink: alter table "public"."t" replica identity using index "t_identity"',
    ]);
  });

  it('cannot be sent by publications whose column lists differ', () => {
    const ours = table('t', [id, column('a', 2)]);
    const unlike = [
      { publication: 'p', columns: ['id'] },
      { publication: 'q', columns: ['id', 'a'] },
    ];
    const link = schema([ours], [ours], { sent: { tables: [sends(ours, { unlike })], missing: [] } });
    expect(compareLink(link)).toMatchObject([
      { kind: 'column-lists', impact: 'stops-apply', detail: expect.stringContaining('"p" sends "id"; "q"') },
    ]);
  });

  it('say what a missing publication hides, and refresh nothing for it', () => {
    const link = schema([], [table('t', [id])], { sent: { tables: [], missing: ['gone'] } });
    expect(compareLink(link)).toMatchObject([
      { kind: 'table-not-published', advice: expect.stringContaining('"gone"'), mends: [] },
    ]);
    // A refresh for the tables that others send would take out those of the missing one as well.
    const [t, n, l] = [table('t', [id, column('a', 2)]), table('n', [id]), table('l', [id])];
    const sent = { tables: [sends(n), sends(l)], missing: ['gone'] };
    const others = schema([n, l], [t, l], { subscribed: [t], sent });
    expect(kinds(others)).toEqual(['table-missing', 'table-not-subscribed', 'table-not-published']);
    expect(sql(others)).toEqual(['sink: create table "public"."n" ("id" integer not null, primary key ("id"))']);
    for (const { advice } of compareLink(others)) expect(advice).toContain('"gone"');
  });
});
