import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { COMBINATION_RULES, type RuleName } from '../../src/postgres/ddl/options/combination-rules.js';
import { sqlstateOf } from '../../src/postgres/translate-error.js';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const OUTSIDE: RuleName = 'outside-transactions';
const PASSWORD = 'only for this spec';

it('every rule is named by a spec', () => {
  const folders = ['../../src', '..'].map((folder) => join(import.meta.dirname, folder));
  const specs = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.spec.ts'))
      .map((file) => readFileSync(join(folder, file), 'utf8')),
  );
  const unnamed = Object.keys(COMBINATION_RULES).filter((rule) => !specs.some((text) => text.includes(`'${rule}'`)));
  expect(unnamed).toEqual([]);
});

describe.each(AVAILABLE_MAJORS)('what is refused by a rule is refused by PostgreSQL %i too', (major) => {
  const database = `rules_${major}`;
  const login = `rules_${major}_login`;
  const path = `/v1/servers/sink/databases/${database}/subscriptions`;
  const from = major === 18 ? 17 : 18;
  let state: TestServer;
  let publisher: TestServer;
  let server: TestServer;
  let api: ApiUnderTest;

  beforeAll(async () => {
    state = await TestServer.shared(18);
    publisher = await TestServer.shared(from);
    server = await TestServer.shared(major);
    for (const each of [publisher, server]) {
      await each.freshDatabase(database);
      await each.run(database, 'create table t (id int primary key)');
    }
    await publisher.run(database, 'create publication p for table t');
    await server.run('postgres', `create role ${login} login password '${PASSWORD}'`);
    api = await ApiUnderTest.start(state, await state.freshDatabase(`rules_state_${major}`), {
      imports: [PublicationsModule, SubscriptionsModule],
    });
    const { user, password } = server;
    for (const [name, at, as] of [
      ['source', publisher, { user: publisher.user, password: publisher.password }],
      ['sink', server, { user, password }],
      ['sink-by-another', server, { user: login, password: PASSWORD }],
    ] as const) {
      const body = { ...{ name, host: at.host, port: at.port, database: 'postgres' }, ...as };
      expect((await api.post('/v1/servers', { ...body, tls: { mode: 'disable' } })).status).toBe(201);
    }
  });
  afterAll(async () => {
    await server?.run(database, `drop owned by ${login}`).catch(() => {});
    await server?.run('postgres', `drop owned by ${login}; drop role ${login}`).catch(() => {});
    await api?.stop();
    for (const each of [state, publisher, server]) await each?.stop();
  });

  const body = (options: object = {}) => ({
    ...{ name: 's', publisher: { server: 'source', database }, publications: ['p'], options },
  });
  const stateOf = (sql: string) =>
    server.withSession(database, (session) => session.execute(sql).then(() => 'taken', sqlstateOf));
  const create = (list: string) => `create subscription s connection 'port=1' publication p with (${list})`;
  const refusedBy = (rule: string, status = 400) => ({ status, body: { rule, hint: expect.any(String) } });

  it.each([
    ['no-slot-disabled', { slotName: null, createSlot: false }, 'slot_name = none, create_slot = false'],
    [
      ...(['no-slot-disabled', { slotName: null, createSlot: false, enabled: true }] as const),
      'slot_name = none, create_slot = false, enabled = true',
    ],
    ['no-slot-not-created', { slotName: null, enabled: false }, 'slot_name = none, enabled = false'],
    [
      ...(['no-slot-not-created', { slotName: null, enabled: false, createSlot: true }] as const),
      'slot_name = none, enabled = false, create_slot = true',
    ],
  ])('%s: %j', async (rule, options, list) => {
    for (const query of ['?dryRun=true', '']) {
      expect(await api.post(`${path}${query}`, body(options))).toMatchObject(refusedBy(rule));
    }
    expect(await stateOf(create(list))).toBe('42601');
  });

  it('slot-name-or-two-phase', async () => {
    if (major < 18) return;
    // The slot is changed only where the publisher is 18 too.
    await server.run(database, 'create publication own for table t');
    const asked = body({ enabled: false, slotName: 'rules_phases', twoPhase: true });
    const made = await api.post(path, { ...asked, publisher: { server: 'sink', database }, publications: ['own'] });
    expect(made.status).toBe(201);
    try {
      const both = { slotName: 'rules_other', twoPhase: false };
      expect(await api.call('PATCH', `${path}/s`, { options: both })).toMatchObject(
        refusedBy('slot-name-or-two-phase'),
      );
      expect(await stateOf('alter subscription s set (slot_name = rules_other, two_phase = false)')).toBe('42601');
      // What becomes true changes no slot: the server takes both.
      expect((await api.call('PATCH', `${path}/s`, { options: { twoPhase: false } })).status).toBe(200);
      const taken = await api.call('PATCH', `${path}/s`, { options: { slotName: null, twoPhase: true } });
      expect([taken.status, taken.body.slotName]).toEqual([200, null]);
    } finally {
      await api.call('DELETE', `${path}/s?slot=keep`);
      await server.run(database, `select pg_drop_replication_slot('rules_phases')`);
    }
  });

  it(`${OUTSIDE}: what a dry run says is not transactional the server refuses in a transaction`, async () => {
    const planned = await api.post(`${path}?dryRun=true`, {
      ...{ name: 's', publications: ['p'] },
      connection: `host=127.0.0.1 port=${publisher.port} dbname=${database} user=${publisher.user} password=${publisher.password}`,
    });
    expect(planned.body.statements).toMatchObject([{ transactional: false }]);
    const inTransaction = await server.withSession(database, async (session) => {
      await session.execute('begin');
      return session.execute(create('create_slot = true')).then(() => 'taken', sqlstateOf);
    });
    expect(inTransaction).toBe('25001');
  });

  it('identity-is-published is no refusal: what it warns of fails', async () => {
    if (major < 18) return;
    await server.run(
      database,
      `create table computed (id int, twice int generated always as (id * 2) stored not null);
       create unique index by_twice on computed (twice);
       alter table computed replica identity using index by_twice`,
    );
    const created = await api.post(`/v1/servers/sink/databases/${database}/publications`, {
      name: 'computed',
      target: { kind: 'tables', tables: [{ schema: 'public', name: 'computed' }] },
    });
    expect([created.status, created.body.warnings.map(({ rule }: { rule: string }) => rule)]).toEqual([
      201,
      ['identity-is-published'],
    ]);
    expect(COMBINATION_RULES['identity-is-published'].seen).toBe('note');
    expect(await stateOf('update public.computed set id = 1')).toBe('42P10');
  });

  describe('password-for-others', () => {
    const others = path.replace('/sink/', '/sink-by-another/');
    const rule = 'password-for-others';
    const byOther = (sql: string) =>
      server.withSession(database, async (session) => {
        await session.execute(`set session authorization ${login}`);
        return session.execute(sql).then(() => 'taken', sqlstateOf);
      });
    const unconnected = 'connect = false, slot_name = none';

    it('only superusers up to 15, then members of pg_create_subscription', async () => {
      const refused = await api.post(others, body());
      expect(refused).toMatchObject({ ...refusedBy(rule, 403), body: { code: 'SERVER_PRIVILEGE_MISSING', rule } });
      expect(refused.body.hint).toContain(major < 16 ? 'superuser' : `grant pg_create_subscription to "${login}";`);
      expect(await byOther(create(unconnected))).toBe('42501');
    });

    it('with CREATE on the database, a password, and passwordRequired', async () => {
      if (major < 16) return;
      await server.run(database, `grant pg_create_subscription to ${login}`);
      expect(await api.post(others, body())).toMatchObject(refusedBy(rule, 403));
      expect(await byOther(create(`${unconnected}, password_required = false`))).toBe('42501');
      await server.run(database, `grant create on database ${database} to ${login}; grant all on table t to ${login}`);

      expect(await api.post(others, body({ passwordRequired: false }))).toMatchObject(refusedBy(rule, 403));
      expect(await byOther(create(`${unconnected}, password_required = false`))).toBe('42501');

      const connection = `host=127.0.0.1 port=${publisher.port} dbname=${database} user=${publisher.user}`;
      const { publisher: _registered, ...rest } = body();
      expect(await api.post(others, { ...rest, connection })).toMatchObject(refusedBy(rule, 409));
      expect(await byOther(create(unconnected))).toBe('2F003');

      const disabled = { enabled: false, createSlot: false, slotName: null };
      expect((await api.post(others, body(disabled))).status).toBe(201);
      try {
        const patched = await api.call('PATCH', `${others}/s`, { options: { passwordRequired: false } });
        expect(patched).toMatchObject(refusedBy(rule, 403));
        expect(await byOther('alter subscription s set (password_required = false)')).toBe('42501');
        const led = await api.call('PATCH', `${others}/s`, { connection });
        expect(led).toMatchObject(refusedBy(rule, 409));
        expect(await byOther(`alter subscription s connection '${connection}'`)).toBe('2F003');
      } finally {
        await api.call('DELETE', `${path}/s?slot=keep`);
      }
    });
  });
});
