import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { SubscriptionsModule } from '../../src/subscriptions/subscriptions.module.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const RULE = 'slot-as-it-was-made';

describe.each([
  [17, 18],
  [18, 17],
  [16, 18],
  [18, 16],
  [16, 14],
])('a slot that a subscription did not make: %i -> %i', (from, to) => {
  const database = `as_made_${from}_${to}`;
  const slot = database;
  const path = `/v1/servers/sink/databases/${database}/subscriptions`;
  const hasFailover = from >= 17 && to >= 17;
  let state: TestServer;
  let publisher: TestServer;
  let subscriber: TestServer;
  let api: ApiUnderTest;
  let conninfo: string;

  beforeAll(async () => {
    state = await TestServer.shared(18);
    publisher = await TestServer.shared(from);
    subscriber = await TestServer.shared(to);
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(database);
      await server.run(database, 'create table t (id int primary key)');
    }
    await publisher.run(database, 'create publication p for table t');
    const { host, port, user, password } = publisher;
    conninfo = `host=${host} port=${port} dbname=${database} user=${user} password=${password}`;
    api = await ApiUnderTest.start(state, await state.freshDatabase(`as_made_state_${from}_${to}`), {
      imports: [PublicationsModule, SubscriptionsModule],
    });
    for (const [name, server] of Object.entries({ source: publisher, sink: subscriber })) {
      const body = { ...{ name, host: server.host, port: server.port, user: server.user }, password: server.password };
      const registered = await api.post('/v1/servers', { ...body, database: 'postgres', tls: { mode: 'disable' } });
      expect(registered.status).toBe(201);
    }
  });
  afterAll(async () => {
    await api?.stop();
    for (const server of [state, publisher, subscriber]) await server?.stop();
  });

  afterEach(() => drop());

  const onPublisher = (sql: string) => publisher.withSession(database, (session) => session.rows(sql));
  const onSubscriber = (sql: string) => subscriber.withSession(database, (session) => session.rows(sql));
  const failoverColumn = from >= 17 ? 'failover' : 'false as failover';

  async function makeSlot({ failover = false, twoPhase = false }): Promise<void> {
    const more = from >= 17 ? `, ${failover}` : '';
    await onPublisher(`select pg_create_logical_replication_slot('${slot}', 'pgoutput', false, ${twoPhase}${more})`);
  }

  async function slotNow(): Promise<unknown> {
    const [row] = await onPublisher(
      `select two_phase as "twoPhase", ${failoverColumn} from pg_replication_slots where slot_name = '${slot}'`,
    );
    return row;
  }

  async function drop(): Promise<void> {
    for (const { name } of await onSubscriber(`select subname as name from pg_subscription s join pg_database d
                                                 on d.oid = s.subdbid where d.datname = '${database}'`)) {
      await subscriber.run(
        database,
        `alter subscription "${String(name)}" disable; alter subscription "${String(name)}" set (slot_name = none);
         drop subscription "${String(name)}"`,
      );
    }
    await eventually(
      async () => {
        await onPublisher(`select pg_drop_replication_slot(slot_name) from pg_replication_slots
                            where slot_name like '${slot}%'`);
        return true;
      },
      { within: 20_000 },
    );
  }

  const body = (options: object) => ({
    ...{ name: 's', publisher: { server: 'source', database }, publications: ['p'] },
    options: { createSlot: false, copyData: false, slotName: slot, ...options },
  });
  const warned = (answer: { body: { warnings: { rule: string; option: string }[] } }) =>
    answer.body.warnings.filter(({ rule }) => rule === RULE).map(({ option }) => option);

  it('the server takes it whatever the subscription says, and leaves the slot as it was made', async () => {
    const each = [false, true];
    for (const made of each.flatMap((failover) => each.map((twoPhase) => ({ failover, twoPhase })))) {
      if (made.failover && from < 17) continue;
      for (const asked of each.flatMap((failover) => each.map((twoPhase) => ({ failover, twoPhase })))) {
        if ((asked.failover && to < 17) || (asked.twoPhase && to < 15)) continue;
        await makeSlot(made);
        const twoPhase = to >= 15 ? `, two_phase = ${asked.twoPhase}` : '';
        const failover = to >= 17 ? `, failover = ${asked.failover}` : '';
        await subscriber.run(
          database,
          `create subscription s connection '${conninfo}' publication p
             with (create_slot = false, enabled = false, slot_name = ${slot}${twoPhase}${failover})`,
        );
        expect([made, asked, await slotNow()]).toEqual([made, asked, made]);
        await drop();
      }
    }
  });

  it('below 15 a slot with twoPhase stops the subscription at the first prepared transaction', async () => {
    if (to >= 15) return;
    await makeSlot({ twoPhase: true });
    const refused = { status: 409, body: { code: 'PREREQUISITE_FAILED', rule: RULE } };
    for (const query of ['?dryRun=true', ''])
      expect(await api.post(`${path}${query}`, body({}))).toMatchObject(refused);
    const created = await api.post(path, body({ enabled: false }));
    expect([created.status, warned(created)]).toEqual([201, ['twoPhase']]);
    await subscriber.run(database, 'alter subscription s enable');
    const worker = async () =>
      (await onSubscriber(`select pid from pg_stat_subscription where subname = 's' and pid is not null`))[0]?.pid;
    const first = await eventually(worker, { within: 20_000 });
    await publisher.run(database, `begin; insert into t values (1); prepare transaction 'made_${from}_${to}'`);
    try {
      await eventually(async () => ![undefined, first].includes((await worker()) as never), { within: 20_000 });
    } finally {
      await publisher.run(database, `commit prepared 'made_${from}_${to}'`);
    }
    expect(await onSubscriber('select from public.t')).toEqual([]);
  });

  it('twoPhase left out over a slot that has it is warned of: prepared transactions arrive prepared', async () => {
    if (to < 15) return;
    await makeSlot({ twoPhase: true });
    expect(warned(await api.post(`${path}?dryRun=true`, body({})))).toEqual(['twoPhase']);
    const created = await api.post(path, body({}));
    expect([created.status, warned(created)]).toEqual([201, ['twoPhase']]);
    await publisher.run(database, `begin; insert into t values (1); prepare transaction 'made_${from}_${to}'`);
    try {
      const prepared = () => onSubscriber(`select gid from pg_prepared_xacts where database = '${database}'`);
      await eventually(async () => (await prepared()).length === 1, { within: 20_000 });
    } finally {
      await publisher.run(database, `commit prepared 'made_${from}_${to}'`);
    }
    await eventually(async () => (await onSubscriber('select from public.t where id = 1')).length === 1, {
      within: 20_000,
    });
  });

  it('twoPhase over a slot without it is no difference: the slot has it once the subscription runs', async () => {
    if (to < 15) return;
    await makeSlot({});
    const created = await api.post(path, body({ twoPhase: true }));
    expect([created.status, warned(created)]).toEqual([201, []]);
    await eventually(async () => ((await slotNow()) as { twoPhase: boolean }).twoPhase, { within: 20_000 });
  });

  it('failover left out over a slot that has it is warned of, and the slot keeps it', async () => {
    if (from < 17) return;
    await makeSlot({ failover: true });
    const expected = hasFailover ? ['failover'] : [];
    expect(warned(await api.post(`${path}?dryRun=true`, body({})))).toEqual(expected);
    const created = await api.post(path, body({}));
    expect([created.status, warned(created)]).toEqual([201, expected]);
    await eventually(
      async () => (await onPublisher(`select from pg_replication_slots where slot_name = '${slot}' and active`)).length,
      { within: 20_000 },
    );
    expect(await slotNow()).toMatchObject({ failover: true });
    await drop();
    if (!hasFailover) return;
    await makeSlot({ failover: true });
    const alike = await api.post(path, body({ failover: true }));
    expect([alike.status, warned(alike)]).toEqual([201, []]);
  });

  it('failover over a slot without it is refused, for no standby would have the slot', async () => {
    if (!hasFailover) return;
    await makeSlot({});
    for (const query of ['?dryRun=true', '']) {
      const refused = await api.post(`${path}${query}`, body({ failover: true }));
      const errors = [{ pointer: '#/options/slotName', detail: expect.any(String) }];
      expect(refused).toMatchObject({ status: 409, body: { code: 'PREREQUISITE_FAILED', rule: RULE, errors } });
    }
    expect(await onSubscriber(`select from pg_subscription where subslotname = '${slot}'`)).toEqual([]);
    // Nothing is read from it before it is enabled: what the hint says can be done until then.
    const disabled = await api.post(path, body({ failover: true, enabled: false }));
    expect([disabled.status, warned(disabled)]).toEqual([201, ['failover']]);
    const planned = await api.call('PATCH', `${path}/s?dryRun=true`, { options: { failover: false } });
    expect(planned.body.statements).toMatchObject([
      { transactional: false, effect: expect.stringContaining('slot that it has until then is changed too') },
    ]);
    for (const failover of [false, true]) {
      expect((await api.call('PATCH', `${path}/s`, { options: { failover } })).status).toBe(200);
      expect(await slotNow()).toMatchObject({ failover });
    }
  });

  it('a slot given later too', async () => {
    if (!hasFailover) return;
    await makeSlot({ failover: true });
    expect((await api.post(path, body({ failover: true, enabled: false }))).status).toBe(201);
    await onPublisher(`select pg_copy_logical_replication_slot('${slot}', '${slot}_other')`);
    const other = { options: { slotName: `${slot}_other` } };
    const given = await api.call('PATCH', `${path}/s?dryRun=true`, other);
    expect([given.status, warned(given)]).toEqual([200, ['failover']]);
    expect((await api.post(`${path}/s/enable`, {})).status).toBe(200);
    const refused = await api.call('PATCH', `${path}/s`, other);
    const errors = [{ pointer: '#/options/slotName', detail: expect.any(String) }];
    expect(refused).toMatchObject({ status: 409, body: { code: 'PREREQUISITE_FAILED', rule: RULE, errors } });
  });

  it('failover that is changed with the slot is that of the former one', async () => {
    if (!hasFailover) return;
    await makeSlot({});
    expect((await api.post(path, body({ enabled: false }))).status).toBe(201);
    await onPublisher(`select pg_copy_logical_replication_slot('${slot}', '${slot}_other')`);
    const both = await api.call('PATCH', `${path}/s`, { options: { slotName: `${slot}_other`, failover: true } });
    expect([both.status, warned(both)]).toEqual([200, ['failover']]);
    expect(
      await onPublisher(
        `select slot_name, failover from pg_replication_slots where slot_name like '${slot}%' order by 1`,
      ),
    ).toEqual([
      { slot_name: slot, failover: true },
      { slot_name: `${slot}_other`, failover: false },
    ]);
  });
});
