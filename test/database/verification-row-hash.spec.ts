import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Session } from '../../src/postgres/session.js';
import { describeTable } from '../../src/verification/at-rest/describe-table.js';
import { readHashedByKeys } from '../../src/verification/at-rest/point-read.js';
import { catalogTables } from '../../src/verification/at-rest/read-shapes.js';
import { tableId, type TableShape } from '../../src/verification/at-rest/table-shape.js';
import { tableTotal } from '../../src/verification/at-rest/table-hash.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

/** Per type: values of which no two are the same, however alike the type's own equality finds them. */
const VALUES: Record<string, string[]> = {
  smallint: ['0', '1', '-1', '32767'],
  integer: ['0', '1', '-1', '65536'],
  bigint: ['0', '1', '-1', '4294967296', '4294967297', '-4294967297', '9223372036854775807'],
  oid: ['0', '1', '4294967295'],
  boolean: ['true', 'false'],
  '"char"': ['a', 'b', ''],
  numeric: ['1', '1.0', '1.00', '-1', 'NaN', '0', '0.000', '1e30'],
  'numeric(12,4)': ['1.0001', '1.0002'],
  real: ['0', '-0', '1.1', '1.1000001', 'NaN', 'Infinity', '-Infinity'],
  'double precision': ['0', '-0', '1', '1.0000000000000002', 'NaN', 'Infinity', '1e-300'],
  money: ['1', '1.01', '-1'],
  text: ['', ' ', 'a', 'a ', 'A', 'ä', 'a\u0308', '\\N', 'null'],
  'character varying(10)': ['', 'a', 'a '],
  'character(5)': ['', 'a', 'A'],
  bpchar: ['a', 'a ', 'a  '],
  name: ['a', 'b'],
  bytea: ['\\x', '\\x00', '\\x0000', '\\xff'],
  date: ['2024-01-01', '2024-01-02', 'infinity', '-infinity', '0044-03-15 BC'],
  time: ['00:00', '00:00:00.000001', '01:11:34.967296', '24:00'],
  timetz: ['00:00+00', '00:00+01', '01:00+01'],
  timestamp: [
    '2024-01-01 00:00:00',
    '2024-01-01 00:00:00.000001',
    '2024-01-01 01:11:34.967295',
    'infinity',
    '-infinity',
  ],
  timestamptz: ['2024-01-01 00:00:00+00', '2024-01-01 00:00:00.000001+00', '2024-01-01 01:11:34.967297+00', 'infinity'],
  interval: ['1 mon', '30 days', '720 hours', '1 day', '24 hours', '-1 day', '0'],
  uuid: ['00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000001'],
  json: ['{}', '{ }', '{"a":1}', '{"a":1.0}', '{"a":1,"a":1}'],
  jsonb: ['{}', '[]', '{"a":1}', '{"a":1.0}', '{"a":null}', '"1"', '1'],
  xml: ['<a/>', '<a></a>'],
  inet: ['10.0.0.1', '10.0.0.1/24', '::1'],
  cidr: ['10.0.0.0/8', '10.0.0.0/9'],
  macaddr: ['08:00:2b:01:02:03', '08:00:2b:01:02:04'],
  macaddr8: ['08:00:2b:01:02:03:04:05', '08:00:2b:01:02:03:04:06'],
  'bit varying': ['', '0', '00', '1', '10'],
  'bit(3)': ['000', '001'],
  point: ['(0,0)', '(0,-0)', '(1,2)'],
  box: ['(1,1),(0,0)', '(2,1),(0,0)'],
  path: ['((0,0),(1,1))', '[(0,0),(1,1)]'],
  polygon: ['((0,0),(1,1),(1,0))', '((1,1),(1,0),(0,0))'],
  circle: ['<(0,0),1>', '<(0,0),2>'],
  pg_lsn: ['0/0', '0/1', '1/0'],
  tsvector: ['a', 'a:1', 'a:1A'],
  tsquery: ['a & b', 'a | b', 'b & a'],
  jsonpath: ['$.a', '$.b'],
  'integer[]': ['{}', '{1}', '{1,2}', '{{1,2}}', '{NULL}', '[2:3]={1,2}'],
  'text[]': ['{}', '{""}', '{NULL}', '{"NULL"}', '{"a b"}', '{a,b}'],
  'numeric[]': ['{1.0}', '{1.00}'],
  int4range: ['empty', '[1,2)', '[1,3)', '(,)'],
  numrange: ['[1.0,2.0]', '[1.00,2.0]', '(1.0,2.0]'],
  tstzrange: ['[2024-01-01 00:00+00,2024-01-02 00:00+00)', '[2024-01-01 00:00:00.000001+00,2024-01-02 00:00+00)'],
  'public.mood': ['glad', 'sad'],
  'public.mood[]': ['{glad}', '{sad}', '{glad,sad}'],
  'public.amount': ['1.0', '1.00'],
  'public.big': ['1', '4294967296'],
  'public.pair': ['(,)', '(1,)', '(,a)', '(1,a)', '(1,"")', '(1,"a ")'],
  'public.pair[]': ['{"(1,a)"}', '{"(1,b)"}'],
};

const TYPES = `
create type mood as enum ('glad', 'sad');
create domain amount as numeric;
create domain small_big as bigint;
create domain big as small_big;
create type pair as (a integer, b text);`;

describe('row hash', () => {
  const sessions = new Map<number, Session>();
  const types = Object.keys(VALUES);
  const shapes = new Map<number, TableShape[]>();

  beforeAll(async () => {
    for (const major of AVAILABLE_MAJORS) {
      const server = await TestServer.shared(major);
      const database = await server.freshDatabase('verification_row_hash');
      const tables = types.map((type, index) => `create table t${index} (id integer primary key, v ${type});`);
      await server.run(database, TYPES + tables.join(''));
      const session = await server.open(database);
      sessions.set(major, session);
      for (const [index, type] of types.entries()) {
        await session.rows(
          `insert into public.t${index} select n, v::${type} from unnest($1::text[]) with ordinality u(v, n)`,
          [[null, ...VALUES[type]!]],
        );
      }
      const names = types.map((_, index) => ({ schema: 'public', name: `t${index}` }));
      const catalog = await catalogTables(session, names);
      shapes.set(
        major,
        names.map((table) => {
          const described = catalog.get(tableId(table))!;
          const shape = describeTable({
            ...{ table, state: 'r', publisher: described, subscriber: described },
            ...{
              publishedIds: new Set<string>(),
              missingPublications: [],
              transcoding: 'same' as const,
              sameBytes: true,
            },
            agingSnapshots: { publisher: null, subscriber: null },
            published: [
              {
                ...table,
                publication: 'p',
                allRowChanges: true,
                viaRoot: false,
                columns: null,
                rowFilter: null,
                under: [],
              },
            ],
          });
          if ('reason' in shape) throw new Error(shape.reason);
          return shape;
        }),
      );
    }
  }, 120_000);

  afterAll(async () => {
    for (const session of sessions.values()) await session.close();
  });

  async function hashes(major: number, index: number): Promise<string[]> {
    const shape = shapes.get(major)![index]!;
    const keys = [null, ...VALUES[types[index]!]!].map((_, n) => [String(n + 1)]);
    const rows = await readHashedByKeys(
      sessions.get(major)!,
      { ...shape, columns: shape.columns.filter(({ name }) => name === 'v') },
      'publisher',
      keys.map((key) => ({ publisher: key, subscriber: key })),
    );
    return rows.sort((a, b) => Number(a.key[0]) - Number(b.key[0])).map(({ hash }) => hash.toString());
  }

  it.each(types.map((type, index) => ({ type, index })))(
    'tells values of $type apart, and alike on every version',
    async ({ index }) => {
      const oldest = await hashes(AVAILABLE_MAJORS[0]!, index);
      expect(oldest).toHaveLength(VALUES[types[index]!]!.length + 1);
      expect(new Set(oldest).size).toBe(oldest.length);
      for (const major of AVAILABLE_MAJORS.slice(1)) expect(await hashes(major, index)).toEqual(oldest);
    },
  );

  it('takes xml as it is sent, without the declaration that is stored', async () => {
    const index = types.indexOf('xml');
    for (const major of AVAILABLE_MAJORS) {
      const sent = (await hashes(major, index))[1];
      const session = sessions.get(major)!;
      await session.execute(
        `update public.t${index} set v = '<?xml version="1.0" encoding="UTF-8"?><a/>' where v::text = '<a/>'`,
      );
      expect((await hashes(major, index))[1]).toBe(sent);
      await session.execute(`update public.t${index} set v = '<a/>' where id = 2`);
    }
  });

  it('lets no column add to a row what it adds to another: the same mistake in two rows does not cancel', async () => {
    const [major] = AVAILABLE_MAJORS;
    const session = sessions.get(major!)!;
    const [shape] = shapes.get(major!)!;
    await session.execute(`
      create table public.flags (id integer primary key, flag boolean);
      insert into public.flags select n, n > 100 from generate_series(1, 200) n`);
    const of = (name: string, builtinType: string) => ({ ...shape!.columns[0]!, name, builtinType });
    const flags: TableShape = { ...shape!, name: 'flags', columns: [of('id', 'int4'), of('flag', 'bool')] };
    const read = async () => {
      const keys = Array.from({ length: 200 }, (_, n) => [String(n + 1)]);
      const rows = await readHashedByKeys(
        session,
        flags,
        'publisher',
        keys.map((key) => ({ publisher: key, subscriber: key })),
      );
      return new Map(rows.map(({ key, hash }) => [key[0], hash]));
    };
    const before = await read();
    await session.execute('update public.flags set flag = not flag');
    const after = await read();
    const flips = [...before].map(([id, hash]) => BigInt.asUintN(64, hash ^ after.get(id)!));
    expect(new Set(flips).size).toBe(200);
  });

  it('does not let columns stand in for each other', async () => {
    const [major] = AVAILABLE_MAJORS;
    const session = sessions.get(major!)!;
    const [shape] = shapes.get(major!)!;
    await session.execute(`
      create table public.two (id integer primary key, a text, b text);
      insert into public.two values (1, 'x', null), (2, null, 'x'), (3, 'x', 'x'), (4, null, null), (5, 'xx', ''), (6, '', 'xx')`);
    const column = (name: string) => ({
      ...shape!.columns[0]!,
      name,
      builtinType: 'text',
    });
    const two: TableShape = { ...shape!, name: 'two', columns: [column('a'), column('b')] };
    const rows = await readHashedByKeys(
      session,
      two,
      'publisher',
      [1, 2, 3, 4, 5, 6].map((id) => ({ publisher: [String(id)], subscriber: [String(id)] })),
    );
    expect(new Set(rows.map(({ hash }) => hash)).size).toBe(6);
    const total = await tableTotal(session, two, 'publisher');
    expect(total).toEqual({ rows: 6n, sum: rows.reduce((sum, { hash }) => sum + hash, 0n) });
  });
});
