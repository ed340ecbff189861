import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { ReplicationSlotsModule } from '../../src/replication-slots/replication-slots.module.js';
import { identifier } from '../../src/postgres/quoting.js';
import { OWNER_LOGIN } from '../support/owner-login.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const DATABASE = `Publications "ü" /%`;
const ODD = `Odd "ü" /%-- ;'`;
const LOGIN = { user: 'publisher login', password: 'an ordinary password' };
const SCHEMA = `
  create schema ${identifier(ODD)};
  create schema guarded;
  create table orders (id int primary key, total numeric, note text);
  create table customers (id int primary key, name text);
  create table ${identifier(ODD, ODD)} (id int, ${identifier(ODD)} int not null unique);
  create table keyless (id int, note text);
  create table measures (day date, value int, primary key (day)) partition by range (day);
  create table measures_1 partition of measures for values from ('2025-01-01') to ('2026-01-01');
  create unlogged table scratch (id int primary key);
  create view seen as select 1 as id;
  create table computed (id int primary key, twice int generated always as (id * 2) stored);
  create table guarded.secrets (id int primary key);`;

interface Warning {
  rule: string;
  detail: string;
  tableCount: number;
  fix: string[];
}

describe.each([14, 15, 18])('publications over HTTP on PostgreSQL %i', (major) => {
  let state: TestServer;
  let server: TestServer;
  let api: ApiUnderTest;
  const base = (login = 'one') => `/v1/servers/${login}/databases/${encodeURIComponent(DATABASE)}/publications`;
  const at = (name: string) => `${base()}/${encodeURIComponent(name)}`;
  const orders = { schema: 'public', name: 'orders' };
  const customers = { schema: 'public', name: 'customers' };
  const keyless = { schema: 'public', name: 'keyless' };
  const rules = (body: { warnings: Warning[] }) => body.warnings.map(({ rule }) => rule);
  const tables = (...list: object[]) => ({ kind: 'tables', tables: list });

  beforeAll(async () => {
    state = await TestServer.shared(18);
    // Its own: logins are made, and it is stopped.
    server = await TestServer.start(major, { wal_level: 'replica' });
    await server.freshDatabase(DATABASE);
    await server.run(DATABASE, SCHEMA);
    await server.run(
      DATABASE,
      `create role ${identifier(LOGIN.user)} login password '${LOGIN.password}';
       create role "table owner"; alter table guarded.secrets owner to "table owner";
       grant usage on schema guarded to public;
       create table own (id int primary key); alter table own owner to ${identifier(LOGIN.user)}`,
    );
    api = await ApiUnderTest.start(state, await state.freshDatabase(`publications_state_${major}`), {
      imports: [PublicationsModule, ReplicationSlotsModule],
    });
    const { host, port, user, password } = server;
    for (const [name, login] of [
      ['one', { user, password }],
      ['narrow', LOGIN],
    ] as const) {
      const body = { name, host, port, ...login, database: DATABASE, tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
  });
  afterAll(async () => {
    await api?.stop();
    for (const each of [state, server]) await each?.stop();
  });

  it('warns before, and after, of tables whose writes will fail, with the SQL that mends it', async () => {
    const body = { name: ODD, target: tables(orders, keyless, { schema: ODD, name: ODD }) };
    const planned = await api.post(`${base()}?dryRun=true`, body);
    expect(planned).toMatchObject({ status: 200, body: { statements: [{ server: 'one', transactional: true }] } });
    expect(rules(planned.body)).toEqual(['identity-usable', 'wal-level']);
    expect(planned.body.warnings[0]).toMatchObject({
      detail: expect.stringContaining('UPDATE and DELETE'),
      tableCount: 2,
      tables: [{ schema: ODD, name: ODD }, keyless],
      fix: [
        expect.stringMatching(/^alter table "Odd .* replica identity using index "Odd/),
        'alter table "public"."keyless" replica identity full;',
      ],
    });
    expect((await api.get(at(ODD))).status).toBe(404);
    const created = await api.post(base(), body);
    expect(created).toMatchObject({ status: 201, body: { warnings: planned.body.warnings } });
    expect((await api.get(at(ODD))).body).toEqual(created.body);

    const effective = (await api.get(`${at(ODD)}/tables`)).body.items;
    expect(effective).toMatchObject([
      { schema: ODD, updatesFail: true, failing: ['update', 'delete'], failures: [{ rule: 'identity-usable' }] },
      { ...keyless, identityColumns: [], fix: [planned.body.warnings[0].fix[1]] },
      { ...orders, identityColumns: ['id'], failing: [], failures: [], fix: [] },
    ]);
    const first = (await api.get(`${at(ODD)}/tables?limit=2`)).body;
    const rest = (await api.get(`${at(ODD)}/tables?limit=2&cursor=${first.nextCursor}`)).body;
    expect([...first.items, ...rest.items]).toEqual(effective);

    await server.run(DATABASE, planned.body.warnings[0].fix.join('\n'));
    expect(rules((await api.get(at(ODD))).body)).toEqual(['wal-level']);
    await server.run(DATABASE, 'update keyless set id = 1; alter table keyless replica identity default');
    expect((await api.call('DELETE', at(ODD))).status).toBe(204);
  });

  it('adds, sets and takes out tables in one transaction, and leaves the others alone', async () => {
    const lists = major < 15 ? {} : { columns: ['id', 'total'], where: 'id > 5' };
    const created = await api.post(base(), { name: 'edited', target: tables({ ...orders, ...lists }, keyless) });
    const [before] = created.body.target.tables.filter(({ name }: { name: string }) => name === 'orders');
    const change = { addTables: [customers], removeTables: [keyless], publish: ['insert', 'update'] };
    const planned = await api.call('PATCH', `${at('edited')}?dryRun=true`, change);
    expect(planned.body.statements.map(({ sql }: { sql: string }) => sql)).toEqual([
      'alter publication "edited" drop table only "public"."keyless"',
      'alter publication "edited" add table only "public"."customers"',
      `alter publication "edited" set (publish = 'insert, update')`,
    ]);
    expect((await api.get(at('edited'))).body).toEqual(created.body);
    const patched = await api.call('PATCH', at('edited'), change);
    expect(patched).toMatchObject({ status: 200, body: { publish: ['insert', 'update'] } });
    expect(patched.body.target.tables).toEqual([{ ...customers, columns: null, where: null }, before]);
    expect(rules(patched.body)).toEqual(['wal-level', 'subscribers-refresh']);
    // The same again: what is added is there already, as it was asked for; what is taken out is not.
    const again = await api.call('PATCH', at('edited'), { addTables: [customers] });
    expect(again.body.target).toEqual(patched.body.target);
    expect(await api.call('PATCH', at('edited'), { removeTables: [keyless] })).toMatchObject({
      status: 409,
      body: { code: 'CONFLICT', rule: 'table-listed', errors: [{ pointer: '#/removeTables/0' }] },
    });
    // What was read can be sent back whole: nothing changes but what was changed in it.
    const whole = (await api.get(at('edited'))).body;
    const back = await api.call('PATCH', at('edited'), { ...whole, publish: ['insert'] });
    expect([back.status, back.body]).toEqual([200, { ...whole, publish: ['insert'] }]);
    if (major >= 15) {
      expect(await api.call('PATCH', at('edited'), { addTables: [orders] })).toMatchObject({
        status: 409,
        body: { rule: 'table-listed', hint: expect.stringContaining('setTables') },
      });
      const set = await api.call('PATCH', at('edited'), { setTables: [{ ...customers, where: 'id < 3' }] });
      expect(set.body.target.tables).toEqual([{ ...customers, columns: null, where: '(id < 3)' }, before]);
      expect(await api.call('PATCH', at('edited'), { addSchemas: [ODD] })).toMatchObject({
        status: 409,
        body: { rule: 'columns-exclude-schemas', hint: expect.stringContaining('two publications') },
      });
    }
    const giveAway = () => api.call('PATCH', at('edited'), { name: 'renamed', owner: 'publisher login' });
    const mayCreate = `create on database ${identifier(DATABASE)}`;
    if (OWNER_LOGIN !== null) {
      const member = `grant "publisher login" to ${identifier(OWNER_LOGIN.user)};`;
      expect(await giveAway()).toMatchObject({ status: 403, body: { rule: 'owner-of-tables', hint: member } });
      await server.run(DATABASE, member);
      const create = `grant ${mayCreate} to "publisher login";`;
      expect(await giveAway()).toMatchObject({ status: 409, body: { rule: 'create-on-database', hint: create } });
      await server.run(DATABASE, create);
    }
    const renamed = await giveAway();
    expect(renamed.body).toMatchObject({ name: 'renamed', owner: 'publisher login' });
    expect(rules(renamed.body)).toContain('subscribers-know-names');
    expect((await api.call('DELETE', at('renamed'))).status).toBe(204);
    if (OWNER_LOGIN !== null) await server.run(DATABASE, `revoke ${mayCreate} from "publisher login"`);
  });

  it.each<[string, object, number, string]>([
    ['a target beside edits', { target: tables(), addTables: [] }, 400, '#/addTables'],
    ['a table in two lists', { addTables: [orders], removeTables: [orders] }, 400, '#/removeTables/0'],
    ['a table twice', { setTables: [orders, orders] }, 400, '#/setTables/1'],
    ['no name', { removeTables: [{ schema: 'public' }] }, 400, '#/removeTables/0/name'],
    ['a null list', { addTables: null }, 400, '#/addTables'],
  ])('refuses a change with %s', async (_what, body, status, pointer) => {
    const answer = await api.call('PATCH', at('absent'), body);
    expect([answer.status, answer.body.errors?.map((each: { pointer: string }) => each.pointer)]).toEqual([
      status,
      expect.arrayContaining([pointer]),
    ]);
  });

  it.each<[string, object, number, string, string]>([
    [
      'a table that is not there',
      { target: tables(orders, { schema: 'public', name: 'Orders' }) },
      404,
      'known-objects',
      '#/target/tables/1',
    ],
    [
      'an unlogged table',
      { target: tables({ schema: 'public', name: 'scratch' }) },
      409,
      'publishable',
      '#/target/tables/0',
    ],
    ['a view', { target: tables({ schema: 'public', name: 'seen' }) }, 409, 'publishable', '#/target/tables/0'],
    [
      'a system table',
      { target: tables({ schema: 'pg_catalog', name: 'pg_class' }) },
      409,
      'publishable',
      '#/target/tables/0',
    ],
  ])('says at once what is wrong with %s', async (_what, body, status, rule, pointer) => {
    for (const dryRun of [true, false]) {
      const answer = await api.post(`${base()}?dryRun=${dryRun}`, { name: 'refused', ...body });
      expect([answer.status, answer.body]).toMatchObject([
        status,
        { rule, errors: [{ pointer }], hint: expect.any(String) },
      ]);
    }
    expect((await api.get(at('refused'))).status).toBe(404);
  });

  it('refuses filters and column lists that would make every write fail, where they are', async () => {
    if (major < 15) return;
    const refused = async (body: object, expected: object) => {
      for (const dryRun of [true, false]) {
        const answer = await api.post(`${base()}?dryRun=${dryRun}`, { name: 'refused', ...body });
        expect(answer.body).toMatchObject(expected);
      }
    };
    const filtered = tables(customers, { ...orders, where: 'total > 0' });
    await refused(
      { target: filtered },
      { status: 409, rule: 'filter-within-identity', errors: [{ pointer: '#/target/tables/1/where' }] },
    );
    await refused(
      { target: tables({ ...orders, columns: ['total'] }) },
      { status: 409, rule: 'columns-hold-identity', errors: [{ pointer: '#/target/tables/0/columns' }] },
    );
    const measures = { schema: 'public', name: 'measures', where: `day > '2025-01-01'` };
    await refused(
      { target: tables(measures) },
      { status: 409, rule: 'root-lists-need-via-root', errors: [{ pointer: '#/target/tables/0/where' }] },
    );
    await refused(
      { target: tables({ ...orders, columns: ['id', 'Total'] }) },
      { status: 400, rule: 'known-objects', errors: [{ pointer: '#/target/tables/0/columns/1' }] },
    );
    await refused(
      { target: tables({ ...orders, where: 'random() > 0.5' }) },
      { status: 400, rule: 'filter-expression', errors: [{ pointer: '#/target/tables/0/where' }] },
    );
    await refused(
      { target: tables({ ...orders, where: 'no_such_column > 0' }) },
      { status: 400, rule: 'filter-expression', hint: expect.stringContaining('columns of the table') },
    );
    if (major < 18) {
      await refused(
        { target: tables({ schema: 'public', name: 'computed', columns: ['id', 'twice'] }) },
        { status: 422, rule: 'columns-can-be-sent', minimumVersion: 18 },
      );
    }
    expect((await api.get(at('refused'))).status).toBe(404);

    // Inserts only: nothing fails. What made it so cannot be taken back by the way.
    const insertsOnly = await api.post(base(), { name: 'inserts', target: filtered, publish: ['insert'] });
    expect([insertsOnly.status, rules(insertsOnly.body)]).toEqual([201, ['wal-level']]);
    expect(await api.call('PATCH', at('inserts'), { publish: ['insert', 'delete'] })).toMatchObject({
      status: 409,
      body: { rule: 'filter-within-identity', errors: [{ pointer: '#/publish' }] },
    });
    const viaRoot = await api.call('PATCH', at('inserts'), { addTables: [measures], viaPartitionRoot: true });
    expect([viaRoot.status, viaRoot.body.viaPartitionRoot]).toEqual([200, true]);
    expect(await api.call('PATCH', at('inserts'), { viaPartitionRoot: false })).toMatchObject({
      status: 409,
      body: { rule: 'root-lists-need-via-root', errors: [{ pointer: '#/viaPartitionRoot' }] },
    });
    expect((await api.get(at('inserts'))).body).toEqual({ ...viaRoot.body, warnings: expect.any(Array) });
    expect((await api.call('DELETE', at('inserts'))).status).toBe(204);
  });

  it('never turns a list into all tables, nor back, and says what to do instead', async () => {
    const made = await api.post(base(), { name: 'all', target: { kind: 'allTables' }, publish: ['insert'] });
    if (OWNER_LOGIN !== null) {
      expect(made).toMatchObject({ status: 403, body: { rule: 'superuser-owns-all' } });
      // Superusers alone make such, and may give them away.
      await server.run(DATABASE, `create publication "all" for all tables with (publish = 'insert')`);
    }
    for (const change of [{ target: tables(orders) }, { addTables: [orders] }, { removeTables: [orders] }]) {
      expect(await api.call('PATCH', at('all'), change)).toMatchObject({
        status: 409,
        body: { rule: 'all-tables-stays', hint: expect.stringContaining('second publication') },
      });
    }
    expect((await api.call('DELETE', at('all'))).status).toBe(204);
  });

  it('names the privilege that a narrow login lacks, and the GRANT', async () => {
    const own = { schema: 'public', name: 'own' };
    const secrets = { schema: 'guarded', name: 'secrets' };
    const create = (target: object) => api.post(base('narrow'), { name: 'narrow', target });
    expect(await create(tables(own))).toMatchObject({
      status: 403,
      body: {
        code: 'SERVER_PRIVILEGE_MISSING',
        rule: 'create-on-database',
        hint: `grant create on database ${identifier(DATABASE)} to "publisher login";`,
      },
    });
    await server.run(DATABASE, `grant create on database ${identifier(DATABASE)} to "publisher login"`);
    expect(await create(tables(own, secrets))).toMatchObject({
      status: 403,
      body: {
        rule: 'owner-of-tables',
        hint: 'grant "table owner" to "publisher login";',
        errors: [{ pointer: '#/target/tables/1', detail: 'belongs to "table owner"' }],
      },
    });
    expect(await create({ kind: 'allTables' })).toMatchObject({
      status: 403,
      body: { rule: 'superuser-owns-all', errors: [{ pointer: '#/target/kind' }] },
    });
    expect(await create(tables(own))).toMatchObject({ status: 201, body: { owner: 'publisher login' } });
    expect((await api.call('DELETE', `${base('narrow')}/narrow`)).status).toBe(204);

    // One of all tables that a superuser gave away: its owner cannot pass it on.
    await server.run(
      DATABASE,
      'create publication given for all tables; alter publication given owner to "publisher login"',
    );
    const giveOn = () => api.call('PATCH', `${base('narrow')}/given`, { owner: 'table owner' });
    const granted = 'grant "table owner" to "publisher login";';
    const mayCreate = `grant create on database ${identifier(DATABASE)} to "table owner";`;
    expect(await giveOn()).toMatchObject({ status: 403, body: { rule: 'owner-of-tables', hint: granted } });
    await server.run(DATABASE, granted);
    expect(await giveOn()).toMatchObject({ status: 409, body: { rule: 'create-on-database', hint: mayCreate } });
    await server.run(DATABASE, mayCreate);
    expect(await giveOn()).toMatchObject({ status: 409, body: { rule: 'superuser-owns-all' } });
    expect((await api.call('DELETE', `${base('narrow')}/given`)).status).toBe(204);
  });

  it('refuses what the version cannot do without asking the server', async () => {
    await server.crash();
    const beyond: [object, number, string][] = [
      [{ target: tables({ ...orders, where: 'id > 0' }) }, 15, '#/target/tables/0/where'],
      [{ target: tables({ ...orders, columns: ['id'] }) }, 15, '#/target/tables/0/columns'],
      [{ target: { kind: 'schemas', schemas: [ODD] } }, 15, '#/target/kind'],
      [{ target: tables(orders), generatedColumns: 'stored' }, 18, '#/generatedColumns'],
    ];
    for (const [body, minimumVersion, pointer] of beyond) {
      const { status, body: answer } = await api.post(base(), { name: 'beyond', ...body });
      if (major >= minimumVersion) expect([pointer, answer.code]).toEqual([pointer, 'SERVER_UNREACHABLE']);
      else {
        const expected = { code: 'OPTION_NOT_SUPPORTED', rule: 'version', minimumVersion, serverVersion: major };
        expect([status, answer]).toMatchObject([422, { ...expected, errors: [{ pointer }], hint: expect.any(String) }]);
      }
    }
    const edit = await api.call('PATCH', at('beyond'), { addSchemas: [ODD] });
    expect(edit.body.code).toBe(major < 15 ? 'OPTION_NOT_SUPPORTED' : 'SERVER_UNREACHABLE');
    const slot = { name: 'beyond', kind: 'logical', database: DATABASE, failover: true };
    const made = await api.post('/v1/servers/one/replication-slots', slot);
    expect(made.body.code).toBe(major < 17 ? 'OPTION_NOT_SUPPORTED' : 'SERVER_UNREACHABLE');
  });
});
