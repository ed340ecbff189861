import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ReplicationSlotsModule } from '../../src/replication-slots/replication-slots.module.js';
import type { SubscriptionView } from '../../src/subscriptions/subscription-view.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const DATABASE = 'alterations';
const ORPHANS = '/v1/orphaned-slots';
const PUBLICATIONS = ['p', 'a', 'b', 'c', 'd', 'w', 'x', 'y', 'z'];

describe('a subscription that is changed', () => {
  const base = `/v1/servers/sink/databases/${DATABASE}/subscriptions`;
  const slots = '/v1/servers/source/replication-slots';
  let publisher: TestServer;
  let other: TestServer;
  let subscriber: TestServer;
  let old: TestServer;
  let api: ApiUnderTest;

  beforeAll(async () => {
    [publisher, other, subscriber, old] = await Promise.all([
      TestServer.shared(16),
      TestServer.shared(17),
      TestServer.shared(18),
      TestServer.shared(14),
    ]);
    for (const server of [publisher, other, subscriber, old]) {
      await server.freshDatabase(DATABASE);
      await server.run(DATABASE, 'create table t (id int primary key)');
    }
    await publisher.run(DATABASE, PUBLICATIONS.map((name) => `create publication ${name}`).join(';'));
    await publisher.run(DATABASE, 'alter publication p add table t; create table only_here (id int primary key)');
    await other.run(DATABASE, 'create publication p for table t');
    api = await ApiUnderTest.start(subscriber, await subscriber.freshDatabase(`${DATABASE}_state`), {
      imports: [SubscriptionsModule, ReplicationSlotsModule],
    });
    for (const [name, { host, port, user, password }] of [
      ['source', publisher],
      ['other', other],
      ['sink', subscriber],
      ['old', old],
    ] as const) {
      await register(name, { host, port, user, password });
    }
  }, 60_000);

  afterAll(async () => {
    for (const { name } of (await api.get(base)).body.items) await api.call('DELETE', `${base}/${name}?slot=keep`);
    await api?.stop();
    for (const server of [publisher, other, subscriber, old]) {
      await server?.run(
        DATABASE,
        `select pg_catalog.pg_drop_replication_slot(slot_name) from pg_catalog.pg_replication_slots
          where database = pg_catalog.current_database() and not active`,
      );
      await server?.stop();
    }
  }, 60_000);

  const register = async (name: string, address: Pick<TestServer, 'host' | 'port' | 'user' | 'password'>) => {
    const body = { name, ...address, database: 'postgres', tls: { mode: 'disable' } };
    expect((await api.post('/v1/servers', body)).status).toBe(201);
  };
  const subscribe = async (name: string, options: object = {}, publications = ['p']) => {
    const body = { name, publisher: { server: 'source', database: DATABASE }, publications };
    const created = await api.post(base, { ...body, options: { copyData: false, slotName: name, ...options } });
    expect(created.status).toBe(201);
  };
  const patch = (name: string, body: object, query = '') => api.call('PATCH', `${base}/${name}${query}`, body);
  const get = async (name: string) => (await api.get(`${base}/${name}`)).body as SubscriptionView;
  const makeSlot = (slot: string, server = publisher, plugin = 'pgoutput') =>
    server.run(DATABASE, `select pg_catalog.pg_create_logical_replication_slot('${slot}', '${plugin}')`);
  const orphans = async (): Promise<{ slot: string; state: string; subscriber: { subscription: string } }[]> =>
    (await api.get(ORPHANS)).body.items;
  const left = async (slot: string) => (await orphans()).filter((each) => each.slot === slot);
  const applied = (id: number) =>
    eventually(
      async () => {
        const { found } = await subscriber.withSession(DATABASE, (session) =>
          session.row<{ found: boolean }>(`select exists (select from public.t where id = ${id}) as found`),
        );
        return found;
      },
      { within: 20_000, every: 50 },
    );
  const conninfo = ({ host, port, user, password }: TestServer, more = '') =>
    `host=${host} port=${port} user=${user} password=${password} dbname=${DATABASE} sslmode=disable${more}`;

  it('is not given a slot that starts past what it has applied, unless told to, and its tables then need verification', async () => {
    await subscribe('gap');
    await publisher.run(DATABASE, 'insert into t values (1)');
    await applied(1);
    expect((await api.post(`${base}/gap/disable`)).status).toBe(200);
    expect((await api.post(`${slots}/gap/copy`, { name: 'gap_copy' })).status).toBe(201);
    await publisher.run(DATABASE, 'insert into t values (2)');
    await makeSlot('gap_new');
    const body = { options: { slotName: 'gap_new' } };
    for (const query of ['?dryRun=true', '']) {
      expect(await patch('gap', body, query)).toMatchObject({
        status: 409,
        body: {
          code: 'CONFLICT',
          rule: 'slot-goes-on',
          detail: expect.stringContaining('never sent'),
          hint: expect.stringContaining('copy'),
          retryWith: { force: true },
        },
      });
    }
    expect((await get('gap')).slotName).toBe('gap');
    const rules = (answer: { body: { warnings: { rule: string }[] } }) => answer.body.warnings.map(({ rule }) => rule);
    expect(rules(await patch('gap', { ...body, force: true }, '?dryRun=true'))).toEqual([
      'former-slot-stays',
      'slot-goes-on',
    ]);
    expect((await get('gap')).tables).toMatchObject([{ needsVerification: null }]);
    // A copy of the former one goes on where it does.
    expect(rules(await patch('gap', { options: { slotName: 'gap_copy' } }))).toEqual(['former-slot-stays']);
    expect((await get('gap')).tables).toMatchObject([{ needsVerification: null }]);
    expect((await api.post(`${base}/gap/enable`)).status).toBe(200);
    await applied(2);
    expect((await api.post(`${base}/gap/disable`)).status).toBe(200);
    await publisher.run(DATABASE, 'insert into t values (3)');
    await makeSlot('gap_newer');
    const forced = await patch('gap', { options: { slotName: 'gap_newer' }, force: true });
    expect(forced).toMatchObject({
      status: 200,
      body: {
        slotName: 'gap_newer',
        tables: [{ needsVerification: { reason: expect.stringContaining('gap_newer') } }],
      },
    });
    for (const slot of ['gap', 'gap_copy']) {
      expect(await left(slot)).toMatchObject([{ state: 'orphan', subscriber: { subscription: 'gap' } }]);
    }
  }, 60_000);

  it('is given its first slot without a question', async () => {
    const none = { enabled: false, createSlot: false, slotName: null };
    await subscribe('first', none);
    await makeSlot('first');
    const given = await patch('first', { options: { slotName: 'first' } });
    expect(given).toMatchObject({ status: 200, body: { slotName: 'first', warnings: [] } });
    expect((await api.call('DELETE', `${base}/first`)).status).toBe(200);
  }, 30_000);

  it('is given no slot that cannot serve it', async () => {
    await subscribe('fit');
    await subscribe('alter_reader');
    await eventually(async () => (await get('alter_reader')).slot?.active === true, { within: 20_000 });
    await publisher.run(
      'postgres',
      `select pg_catalog.pg_create_logical_replication_slot('fit_elsewhere', 'pgoutput')`,
    );
    const cases: [string, number, string][] = [
      ['fit_absent', 409, 'no slot'],
      ['fit_elsewhere', 409, '"postgres"'],
      ['alter_reader', 409, 'read by another'],
    ];
    for (const [slotName, status, detail] of cases) {
      const refused = { status, body: { rule: 'slot-to-read', detail: expect.stringContaining(detail) } };
      expect(await patch('fit', { options: { slotName }, force: true })).toMatchObject(refused);
      for (const via of [
        { publisher: { server: 'source', database: DATABASE } },
        { connection: conninfo(publisher) },
      ]) {
        const body = { name: 'second', ...via, publications: ['p'] };
        const options = { createSlot: false, copyData: false, slotName };
        expect(await api.post(`${base}?dryRun=true`, { ...body, options })).toMatchObject(refused);
        // Not read from before it is enabled, and somebody may see to it until then.
        const disabled = { ...body, options: { ...options, enabled: false } };
        const warning = { rule: 'slot-to-read', option: 'slotName', detail: expect.stringContaining(detail) };
        const warnings = slotName === 'alter_reader' ? [] : [warning];
        const planned = await api.post(`${base}?dryRun=true`, disabled);
        expect({ status: planned.status, warnings: planned.body.warnings }).toEqual({ status: 200, warnings });
        const created = await api.post(base, disabled);
        expect({ status: created.status, warnings: created.body.warnings }).toEqual({ status: 201, warnings });
        expect((await api.call('DELETE', `${base}/second?slot=keep`)).status).toBe(200);
      }
    }
    await publisher.run('postgres', `select pg_catalog.pg_drop_replication_slot('fit_elsewhere')`);
    for (const name of ['fit', 'alter_reader']) expect((await api.call('DELETE', `${base}/${name}`)).status).toBe(200);
  }, 60_000);

  it('leaves its former slot on record when it gets none, and takes it off when it has it again', async () => {
    await subscribe('parted');
    expect((await api.post(`${base}/parted/disable`)).status).toBe(200);
    const none = await patch('parted', { options: { slotName: null } });
    expect(none).toMatchObject({ status: 200, body: { slotName: null, warnings: [{ rule: 'former-slot-stays' }] } });
    expect(await left('parted')).toMatchObject([{ state: 'orphan' }]);
    // Nothing was applied yet, but it had a slot: another is none that goes on.
    await makeSlot('parted_new');
    const other = await patch('parted', { options: { slotName: 'parted_new' } });
    expect(other).toMatchObject({ status: 409, body: { rule: 'slot-goes-on' } });
    expect((await patch('parted', { options: { slotName: 'parted' } })).status).toBe(200);
    expect(await left('parted')).toEqual([]);
    expect((await patch('parted', { options: { slotName: null } })).status).toBe(200);
    expect(await api.call('DELETE', `${base}/parted`)).toMatchObject({ status: 200, body: { slotLeft: null } });
    expect(await left('parted')).toMatchObject([{ state: 'orphan', subscriber: { subscription: 'parted' } }]);
  }, 60_000);

  it('leaves its slot on record when it is led to another publisher, whose slot must go on, not when only the password changes', async () => {
    await subscribe('alter_moved');
    await publisher.run(DATABASE, 'insert into t values (101)');
    await applied(101);
    const same = await patch('alter_moved', { connection: conninfo(publisher, ' connect_timeout=5') });
    expect(same).toMatchObject({ status: 200, body: { warnings: [] } });
    expect(await left('alter_moved')).toEqual([]);
    const there = { publisher: { server: 'other', database: DATABASE } };
    for (const body of [there, { connection: conninfo(other) }]) {
      const pointer = `#/${Object.keys(body)[0]!}`;
      const without = await patch('alter_moved', { ...body, force: true });
      expect(without).toMatchObject({ status: 409, body: { rule: 'slot-to-read', errors: [{ pointer }] } });
    }
    await makeSlot('alter_moved', other);
    for (const query of ['?dryRun=true', '']) {
      expect(await patch('alter_moved', there, query)).toMatchObject({
        status: 409,
        body: {
          ...{ code: 'CONFLICT', rule: 'slot-goes-on', retryWith: { force: true } },
          errors: [{ pointer: '#/publisher' }],
          slotStart: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/),
        },
      });
    }
    expect(await get('alter_moved')).toMatchObject({ publisher: { server: 'source' } });
    const moved = await patch('alter_moved', { ...there, force: true });
    expect(moved).toMatchObject({
      status: 200,
      body: {
        publisher: { server: 'other' },
        warnings: [{ rule: 'former-slot-stays' }, { rule: 'slot-goes-on', option: null }],
        tables: [{ needsVerification: { reason: expect.stringContaining('alter_moved') } }],
      },
    });
    expect(await left('alter_moved')).toMatchObject([{ publisher: { server: 'source' } }]);
    // Its own former one goes on where it was left.
    const back = await patch('alter_moved', { publisher: { server: 'source', database: DATABASE } });
    expect(back).toMatchObject({ status: 200, body: { warnings: [{ rule: 'former-slot-stays' }] } });
    expect((await api.call('DELETE', `${base}/alter_moved`)).status).toBe(200);
  }, 60_000);

  it('is led to another address of its publisher without a question, and to what is not known only when told to', async () => {
    await subscribe('alter_address');
    const way = await Network.to(publisher.port);
    try {
      for (const port of [way.port, publisher.port]) {
        const led = await patch('alter_address', { connection: conninfo({ ...publisher, port } as TestServer) });
        expect(led).toMatchObject({ status: 200, body: { slotName: 'alter_address', warnings: [] } });
        await eventually(async () => (await get('alter_address')).connection?.port === String(port), { within: 5_000 });
      }
    } finally {
      await way.cut();
    }
    expect(await left('alter_address')).toEqual([]);
    expect((await get('alter_address')).tables).toMatchObject([{ needsVerification: null }]);
    const unknown = { connection: `host=127.0.0.1 port=1 dbname=${DATABASE} user=nobody password=never-shown` };
    const refused = await patch('alter_address', unknown);
    expect(refused).toMatchObject({
      status: 409,
      body: {
        rule: 'slot-goes-on',
        errors: [{ pointer: '#/connection' }],
        detail: expect.stringContaining('not known'),
      },
    });
    expect(refused.text).not.toContain('never-shown');
    expect(await patch('alter_address', { ...unknown, force: true })).toMatchObject({
      status: 200,
      body: { warnings: expect.arrayContaining([expect.objectContaining({ rule: 'slot-goes-on' })]) },
    });
    expect((await api.call('DELETE', `${base}/alter_address?slot=keep`)).status).toBe(200);
  }, 60_000);

  it('is led without a question where it has taken up nothing yet that could be missed', async () => {
    const connection = conninfo(publisher).replace(publisher.host, 'mistyped.invalid');
    // Without a connection it knows no tables.
    await subscriber.run(
      DATABASE,
      `create subscription alter_late connection '${connection}' publication p
         with (connect = false, slot_name = alter_late)`,
    );
    await makeSlot('alter_late');
    const led = await patch('alter_late', { connection: conninfo(publisher) });
    expect(led).toMatchObject({ status: 200, body: { publisher: { server: 'source' } } });
    expect(led.body.warnings).toMatchObject([{ rule: 'former-slot-stays' }]);
    expect((await api.call('DELETE', `${base}/alter_late`)).status).toBe(200);
  }, 60_000);

  it('loses none of the changes that several make at once', async () => {
    await subscribe('crowd', { enabled: false }, ['p', 'w', 'x', 'y', 'z']);
    const changes = ['aw', 'bx', 'cy', 'dz'].map(([added, removed]) =>
      patch('crowd', { addPublications: [added], removePublications: [removed] }),
    );
    expect((await Promise.all(changes)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect([...(await get('crowd')).publications].sort()).toEqual(['a', 'b', 'c', 'd', 'p']);
    expect((await api.call('DELETE', `${base}/crowd`)).status).toBe(200);
  }, 60_000);

  it('says of a change that failed half way what of it was done, and takes the same again', async () => {
    await subscribe('halves');
    await publisher.run(DATABASE, 'alter publication a add table only_here');
    const body = {
      options: { synchronousCommit: 'local' },
      connection: conninfo(publisher, ' connect_timeout=7'),
      addPublications: ['a'],
    };
    const failed = await patch('halves', body);
    expect(failed.status).toBeGreaterThanOrEqual(400);
    expect(failed.body).toMatchObject({
      hint: expect.stringContaining('What is listed as done stays'),
      done: [expect.stringContaining('synchronous_commit'), expect.stringContaining('connection')],
    });
    expect(failed.text).not.toContain(publisher.password);
    expect(await get('halves')).toMatchObject({ options: { synchronousCommit: 'local' }, publications: ['p'] });
    await subscriber.run(DATABASE, 'create table only_here (id int primary key)');
    expect(await patch('halves', body)).toMatchObject({ status: 200, body: { publications: ['p', 'a'] } });
    expect((await api.call('DELETE', `${base}/halves`)).status).toBe(200);
  }, 60_000);

  it('does not take up tables with a copy once two_phase is enabled', async () => {
    await subscribe('phases', { twoPhase: true });
    await eventually(async () => (await get('phases')).twoPhaseState === 'enabled', { within: 20_000, every: 50 });
    const refused = { status: 409, body: { code: 'WRONG_STATE', rule: 'no-copy-with-two-phase' } };
    for (const query of ['?dryRun=true', '']) {
      expect(await api.post(`${base}/phases/refresh${query}`)).toMatchObject(refused);
      expect(await patch('phases', { addPublications: ['b'] }, query)).toMatchObject(refused);
    }
    expect((await api.post(`${base}/phases/refresh`, { copyData: false })).status).toBe(200);
    expect((await patch('phases', { addPublications: ['b'], copyData: false })).status).toBe(200);
    expect(await patch('phases', { removePublications: ['b'] })).toMatchObject(refused);
    const removed = await patch('phases', { removePublications: ['b'], copyData: false });
    expect(removed).toMatchObject({ status: 200, body: { publications: ['p'] } });
    const { status, body } = await patch('phases', { options: { slotName: null } });
    expect({ status, rule: body.rule }).toEqual({ status: 409, rule: 'changed-while-disabled' });
    expect((await api.post(`${base}/phases/disable`)).status).toBe(200);
    expect(await api.post(`${base}/phases/refresh`)).toMatchObject({
      status: 409,
      body: { rule: 'enabled-to-refresh' },
    });
    expect((await api.call('DELETE', `${base}/phases`)).status).toBe(200);
  }, 60_000);

  it('is refused in its own cluster by a raw connection, at once', async () => {
    const body = { name: 'own', connection: conninfo(subscriber), publications: ['p'], options: { copyData: false } };
    for (const query of ['?dryRun=true', '']) {
      expect(await api.post(`${base}${query}`, body)).toMatchObject({
        status: 409,
        body: { rule: 'slot-of-same-cluster', hint: expect.stringContaining('registered server') },
      });
    }
    expect((await api.get(`${base}/own`)).status).toBe(404);
  }, 30_000);

  it('is refused what its version lacks without a word to the publisher', async () => {
    const { host, user, password } = publisher;
    const away = await Network.to(publisher.port);
    await register('away', { host, port: away.port, user, password });
    await away.cut();
    const path = `/v1/servers/old/databases/${DATABASE}/subscriptions`;
    const unsupported = { status: 422, body: { code: 'OPTION_NOT_SUPPORTED', minimumVersion: 15 } };
    const body = { name: 'later', publisher: { server: 'away', database: DATABASE }, publications: ['p'] };
    expect(await api.post(path, { ...body, options: { twoPhase: true } })).toMatchObject(unsupported);
    const absent = `${path}/absent`;
    expect(await api.call('PATCH', absent, { options: { twoPhase: true } })).toMatchObject(unsupported);
  }, 30_000);
});
