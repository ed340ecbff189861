import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { identifier } from '../../src/postgres/quoting.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const DATABASE = 'incomparable_rows';
const ODD = `Odd "ü" /%-- ;'`;

interface Warning {
  rule: string;
  detail: string;
}

/** Types without equality: subscribers cannot find a row by all of its columns. */
describe.each([14, 15, 18])('publications of tables with incomparable columns on PostgreSQL %i', (major) => {
  let state: TestServer;
  let server: TestServer;
  let api: ApiUnderTest;
  const base = () => `/v1/servers/one/databases/${DATABASE}/publications`;
  const at = (name: string) => `${base()}/${name}`;
  const tables = (...list: object[]) => ({ kind: 'tables', tables: list });

  beforeAll(async () => {
    [state, server] = await Promise.all([TestServer.shared(18), TestServer.shared(major)]);
    await server.freshDatabase(DATABASE);
    api = await ApiUnderTest.start(state, await state.freshDatabase(`${DATABASE}_state_${major}`), {
      imports: [PublicationsModule],
    });
    const { host, port, user, password } = server;
    const body = { name: 'one', host, port, user, password, database: DATABASE, tls: { mode: 'disable' } };
    expect((await api.post('/v1/servers', body)).status).toBe(201);
  }, 60_000);
  afterAll(async () => {
    await api?.stop();
    for (const each of [state, server]) await each?.stop();
  });

  it('offers no replica identity full where a subscriber could not compare the rows', async () => {
    const odd = identifier(ODD);
    await server.run(
      DATABASE,
      `create domain notes as xml; create domain many_notes as notes[]; create type placed as (n int, at point);
       create table plain_json (id int, ${odd} json); create table by_domain (id int, a many_notes, b notes);
       create table in_parts (id int, p placed, corners box[], word text, v varchar(9), words text[], r int4range);
       create table all_compare (id int, j jsonb, v varchar(9), words text[], r int4range, w tsvector, n inet, c cidr)`,
    );
    const names = ['all_compare', 'by_domain', 'in_parts', 'plain_json'];
    const body = { name: 'incomparable', target: tables(...names.map((name) => ({ schema: 'public', name }))) };
    const { warnings } = (await api.post(`${base()}?dryRun=true`, body)).body as { warnings: Warning[] };
    expect(warnings[0]).toMatchObject({
      ...{ rule: 'identity-usable', tableCount: 4, fix: ['alter table "public"."all_compare" replica identity full;'] },
      detail: expect.stringMatching(/by_domain.*primary key.*unique index/),
    });
    expect((await api.post(base(), body)).status).toBe(201);
    const { items } = (await api.get(`${at('incomparable')}/tables`)).body;
    const told = items.map(({ failures }: { failures: { detail: string }[] }) => failures[0]!.detail);
    expect(told[0]).not.toContain('full');
    expect(told.slice(1)).toEqual([
      expect.stringContaining('"a", "b"'),
      expect.stringContaining('"p", "corners"'),
      expect.stringContaining(odd),
    ]);
    for (const detail of told.slice(1)) expect(detail).toMatch(/full.*cannot compare.*primary key/);
    await api.call('DELETE', at('incomparable'));
  });

  it('warns where the replica identity is full and a subscriber could not compare the rows', async () => {
    await server.run(
      DATABASE,
      `create table full_json (id int, j json, p point); alter table full_json replica identity full;
       create table full_plain (id int, j jsonb); alter table full_plain replica identity full;
       create table full_parts (id int, x xml) partition by range (id);
       create table full_part partition of full_parts for values from (0) to (9);
       alter table full_parts replica identity full; alter table full_part replica identity full;
       create table full_keyed (id int primary key, j json); alter table full_keyed replica identity full`,
    );
    const names = ['full_json', 'full_keyed', 'full_parts', 'full_plain'].map((name) => ({ schema: 'public', name }));
    const body = { name: 'full_compares', target: tables(...names) };
    const about = (answer: { warnings: Warning[] }) => answer.warnings.filter(({ rule }) => rule === 'full-compares');
    const planned = await api.post(`${base()}?dryRun=true`, body);
    expect([planned.status, about(planned.body)]).toMatchObject([
      200,
      [{ tableCount: 2, tables: [{ name: 'full_json' }, { name: 'full_part' }], fix: [] }],
    ]);
    expect(about(planned.body)[0]!.detail).toMatch(/full_json" \("j", "p"\), .*full_part" \("x"\), .*primary key/);
    // Changes that carry no old rows need no comparison.
    const inserts = await api.post(`${base()}?dryRun=true`, { ...body, publish: ['insert'] });
    expect([inserts.status, about(inserts.body)]).toEqual([200, []]);
    await api.post(base(), body);
    const { items } = (await api.get(`${at('full_compares')}/tables`)).body;
    expect(items.map(({ incomparableColumns }: { incomparableColumns: string[] }) => incomparableColumns)).toEqual([
      ['j', 'p'],
      [],
      ['x'],
      [],
    ]);
    await api.call('DELETE', at('full_compares'));
  });
});
