import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { LinkFixture } from './verification/link-fixture.js';

/** More than are fetched in one answer, and more than are searched in one piece. */
const ROWS = 105_000;
const KEYLESS_ROWS = 60_000;
const TABLES = `
create table public.keyed (id bigint primary key, filler text);
create table public.keyless (a integer, b text);
alter table keyless replica identity full;
`;

describe('differences without number', () => {
  let link: LinkFixture;

  beforeAll(async () => {
    link = await LinkFixture.create(
      await TestServer.shared(14),
      await TestServer.shared(AVAILABLE_MAJORS.at(-1)!),
      'verification_many',
      {
        publisher: `${TABLES}
          insert into keyed select i, md5(i::text) from generate_series(1, ${ROWS}) i;
          insert into keyless select i / 2, md5((i / 2)::text) from generate_series(1, ${KEYLESS_ROWS}) i;
          create publication many_pub for table keyed, keyless with (publish = 'insert, update, delete')`,
        subscriber: TABLES,
        publications: ['many_pub'],
      },
    );
  }, 120_000);

  afterAll(async () => {
    await link?.drop();
  });

  const verify = async () => {
    const tables = ['keyed', 'keyless'].map((name) => ({ schema: 'public', name }));
    const { tables: found, differences } = await link.verify({ tables, listLimit: 25 });
    const listed = (table: string) => differences.filter((difference) => difference.table === table);
    return {
      counts: Object.fromEntries(found.map(({ name, differences: counts }) => [name, counts])),
      keyed: listed('keyed'),
      keyless: listed('keyless'),
    };
  };

  it('are all counted, and as many listed as asked, where every row differs', async () => {
    await link.plant(`update keyed set filler = filler || '!'; update keyless set b = b || '!'`);
    const { counts, keyed, keyless } = await verify();
    expect(counts).toEqual({
      keyed: { missing: 0, extra: 0, different: ROWS },
      keyless: { missing: KEYLESS_ROWS, extra: KEYLESS_ROWS, different: 0 },
    });
    expect([keyed, keyless].map(({ length }) => length)).toEqual([25, 25]);
    for (const { kind, key, columns } of keyed) {
      const { publisher, subscriber } = columns[0]!;
      expect([kind, Object.keys(key!), subscriber]).toEqual(['different', ['id'], `${publisher}!`]);
    }
    for (const { kind, columns } of keyless) {
      const row = columns[1]!;
      expect((row.publisher ?? row.subscriber)!.endsWith('!')).toBe(kind === 'extra');
    }
  }, 120_000);

  it('are all missing where the subscriber is empty', async () => {
    await link.plant('truncate keyed, keyless');
    const { counts, keyed, keyless } = await verify();
    expect(counts).toEqual({
      keyed: { missing: ROWS, extra: 0, different: 0 },
      keyless: { missing: KEYLESS_ROWS, extra: 0, different: 0 },
    });
    expect(keyed).toHaveLength(25);
    expect(new Set(keyless.map(({ count }) => count))).toContain(2);
  }, 120_000);

  it('are all extra where the publisher is empty', async () => {
    await link.plant(`truncate keyed, keyless; insert into keyed select i, 'x' from generate_series(1, ${ROWS}) i;
                      insert into keyless select i, 'x' from generate_series(1, ${KEYLESS_ROWS}) i`);
    await link.publisher.run(link.database, 'truncate keyed, keyless');
    const { counts, keyed, keyless } = await verify();
    expect(counts).toEqual({
      keyed: { missing: 0, extra: ROWS, different: 0 },
      keyless: { missing: 0, extra: KEYLESS_ROWS, different: 0 },
    });
    expect([keyed, keyless].map(({ length }) => length)).toEqual([25, 25]);
  }, 120_000);
});
