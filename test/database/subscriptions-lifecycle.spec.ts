import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LsnClock } from '../../src/lsn-clock/lsn-clock.service.js';
import type { LsnSample } from '../../src/lsn-clock/lsn-history.js';
import type { LsnSampleRepository } from '../../src/lsn-clock/lsn-sample.repository.js';
import { parseLsn } from '../../src/shared/lsn.js';
import { PublicationsService } from '../../src/publications/publications.service.js';
import { SlotOwners } from '../../src/replication-slots/slot-owners.js';
import { SubscriptionSlotOwners } from '../../src/subscriptions/subscription-slot-owners.js';
import { ReplicationSlotsService } from '../../src/replication-slots/replication-slots.service.js';
import { LeftSlotRepository } from '../../src/subscriptions/left-slots/left-slot.repository.js';
import { LeftSlots } from '../../src/subscriptions/left-slots/left-slots.service.js';
import { LastLooks } from '../../src/links/drift/last-looks.js';
import { SchemaLookRepository } from '../../src/links/drift/schema-look.repository.js';
import { LinksService } from '../../src/links/links.service.js';
import { PublisherEnds } from '../../src/subscriptions/publisher-ends.js';
import { SlotChanges } from '../../src/subscriptions/slot-changes.js';
import { SubscriptionAlteration } from '../../src/subscriptions/subscription-alteration.js';
import { TakingUp } from '../../src/subscriptions/taking-up.js';
import { SlotSharers } from '../../src/subscriptions/slot-sharers.js';
import { SubscriptionCreation } from '../../src/subscriptions/subscription-creation.js';
import type { SubscriptionView } from '../../src/subscriptions/subscription-view.js';
import { SubscriptionsService } from '../../src/subscriptions/subscriptions.service.js';
import { Config } from '../../src/config/config.js';
import { DiagnosisService } from '../../src/subscriptions/stuck/diagnosis.service.js';
import { SkipService } from '../../src/subscriptions/stuck/skip.service.js';
import { TablesNeedingVerification } from '../../src/subscriptions/tables-needing-verification.repository.js';
import { StateDatabase } from '../../src/storage/state-database.js';
import { eventually } from '../support/eventually.js';
import { fleetServers } from '../support/fleet-servers.js';
import { TestServer } from '../support/postgres-fleet.js';

const SUBSCRIPTION = `Sub "ö" -- 'x'`;
const SCHEMA = `
  create table orders (id int primary key, note text);
  create table "Odd ""Name"" -- ü" (id int primary key, "Größe" int);`;

describe.each([
  [14, 18],
  [18, 14],
  [18, 13],
  [13, 16],
  [17, 15],
])('a subscription %i -> %i', (from, to) => {
  const database = `subs_${from}_${to}`;
  const source = { server: 'source', database };
  let publisher: TestServer;
  let subscriber: TestServer;
  let subscriptions: SubscriptionsService;
  let slots: ReplicationSlotsService;
  let publications: PublicationsService;
  let links: LinksService;
  /** What the state database would hold of the publisher's WAL positions. */
  let history: LsnSample[] = [];
  let skips: SkipService;
  let keeper: TestServer;
  let state: StateDatabase;

  beforeAll(async () => {
    publisher = await TestServer.shared(from);
    subscriber = await TestServer.shared(to);
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(database);
      await server.run(database, SCHEMA);
    }
    const servers = fleetServers({ source: publisher, sink: subscriber });
    publications = new PublicationsService(servers);
    const clock = new LsnClock({ of: () => Promise.resolve(history) } as unknown as LsnSampleRepository);
    const owners = new SlotOwners();
    slots = new ReplicationSlotsService(servers, clock, owners);
    keeper = await TestServer.shared(18);
    const { user, password, host, port } = keeper;
    const stateUrl = `postgresql://${user}:${password}@${host}:${port}/${await keeper.freshDatabase(`${database}_state`)}`;
    state = await StateDatabase.open(Config.load({ DATABASE_URL: stateUrl }));
    const needs = new TablesNeedingVerification(state.dataSource);
    const ends = new PublisherEnds(servers, clock, needs);
    new SubscriptionSlotOwners(servers, ends, owners);
    const left = new LeftSlots(new LeftSlotRepository(state.dataSource), servers, slots, ends, owners);
    subscriptions = new SubscriptionsService(
      servers,
      new SubscriptionCreation(servers, slots, ends, left),
      ends,
      needs,
      left,
      new SubscriptionAlteration(servers, ends, new SlotChanges(servers, ends, needs, left), new TakingUp(servers)),
      new SlotSharers(servers, ends),
    );
    const diagnosis = new DiagnosisService(servers, ends);
    skips = new SkipService(servers, subscriptions, diagnosis, needs);
    const looks = new LastLooks(new SchemaLookRepository(state.dataSource), Config.load({}));
    links = new LinksService(servers, ends, looks);
    await publisher.run(database, `insert into orders select n, 'row ' || n from generate_series(1, 100) n`);
    await publications.create('source', database, {
      name: 'orders_pub',
      target: {
        kind: 'tables',
        tables: [
          { schema: 'public', name: 'orders' },
          { schema: 'public', name: 'Odd "Name" -- ü' },
        ],
      },
    });
  });

  afterAll(async () => {
    await subscriptions?.drop('sink', database, SUBSCRIPTION, 'drop').catch(() => {});
    await state?.onApplicationShutdown();
    await keeper?.stop();
    await publisher?.stop();
    await subscriber?.stop();
  });

  const read = () => subscriptions.get('sink', database, SUBSCRIPTION);
  const slotNames = async () => (await slots.list('source')).map(({ name }) => name);
  const until = (holds: (view: SubscriptionView) => boolean) =>
    eventually(
      async () => {
        const view = await read();
        if (!holds(view)) throw new Error(JSON.stringify(view, null, 1));
        return view;
      },
      { within: 20_000, every: 50 },
    );

  it('tells in a dry run what would be run where, and does none of it', async () => {
    const request = {
      name: SUBSCRIPTION,
      publisher: source,
      publications: ['orders_pub'],
      options: { slotName: `slot_${from}_${to}` },
    };
    const { statements, result } = await subscriptions.create('sink', database, request, { dryRun: true });
    expect(result).toBeNull();
    expect(statements.map(({ server, transactional }) => [server, transactional])).toEqual([
      ['source', false],
      ['sink', true],
    ]);
    expect(statements[1]!.sql).toContain("password=''********''");
    expect(JSON.stringify(statements)).not.toContain(publisher.password);
    expect(await slotNames()).not.toContain(`slot_${from}_${to}`);
    await expect(read()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('refuses what cannot work and leaves nothing behind', async () => {
    const request = { name: SUBSCRIPTION, publisher: source, publications: ['orders_pub'] };
    await expect(subscriptions.create('sink', database, request)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      options: { errors: [{ pointer: '#/options/slotName' }] },
    });
    const slotName = `slot_${from}_${to}`;
    const absent = { ...request, publications: ['absent'], options: { slotName } };
    await expect(subscriptions.create('sink', database, absent)).rejects.toMatchObject({ code: 'PREREQUISITE_FAILED' });
    // Refused before the slot is made.
    await subscriber.run(database, 'alter table orders rename to elsewhere');
    await expect(subscriptions.create('sink', database, { ...request, options: { slotName } })).rejects.toMatchObject({
      options: { extra: { rule: 'tables-exist' } },
    });
    await subscriber.run(database, 'alter table elsewhere rename to orders');
    expect(await slotNames()).not.toContain(slotName);
  });

  it('copies while it says so, then streams, with its lag in bytes', async () => {
    // A lock holds the copy up, so that the states on the way can be seen.
    const holder = await subscriber.open(database);
    await holder.execute('begin; lock table public.orders in share row exclusive mode');
    const request = {
      name: SUBSCRIPTION,
      publisher: source,
      publications: ['orders_pub'],
      options: { slotName: `slot_${from}_${to}` },
    };
    const { result } = await subscriptions.create('sink', database, request);
    expect(['initializing', 'copying', 'stalled']).toContain(result!.state);
    const copying = await until(({ tables }) =>
      tables.some(({ name, state }) => name === 'orders' && state === 'copying'),
    );
    expect(copying.state).toBe('copying');
    expect(copying.workers.find(({ kind }) => kind === 'apply')!.pid).toBeGreaterThan(0);
    expect(copying.workers.find(({ kind }) => kind === 'table synchronization')).toBeDefined();
    await holder.execute('rollback');
    await holder.close();

    await until(({ state }) => state === 'streaming');
    await publisher.run(
      database,
      `insert into orders values (101, 'live'); insert into "Odd ""Name"" -- ü" values (1, 2)`,
    );
    const view = await until(({ lag, slot }) => lag.bytes !== null && slot?.active === true);
    expect(view).toMatchObject({ enabled: true, publisher: source, reason: null, skipLsn: null });
    expect(view.tables.map(({ name, state }) => [name, state])).toEqual([
      ['Odd "Name" -- ü', 'ready'],
      ['orders', 'ready'],
    ]);
    expect(view.lag.bytes).toBeGreaterThanOrEqual(0);
    // Level is 0 seconds; how old a distance is cannot be known without an earlier position.
    const { bytes } = view.lag;
    if (bytes === 0) expect(view.lag).toEqual({ bytes, seconds: 0, reason: null });
    else expect(view.lag).toEqual({ bytes, seconds: null, reason: expect.stringContaining('seconds are not known') });
    expect(view.connection).toMatchObject({ host: '127.0.0.1', port: String(publisher.port), dbname: database });
    expect(JSON.stringify(view)).not.toContain(publisher.password);
    expect(view.errors).toEqual(to >= 15 ? { apply: 0, sync: 0 } : null);
    expect(view.conflicts === null).toBe(to < 18);
    await eventually(
      () =>
        subscriber.withSession(database, async (session) => {
          const { n } = await session.row<{ n: number }>('select count(*)::int as n from public.orders');
          return n === 101;
        }),
      { within: 10_000 },
    );
  });

  it('is found as a link with both ends', async () => {
    const all = await links.page({ limit: 200 });
    const link = all.items.find(({ subscriber: end }) => end.database === database);
    expect(link).toMatchObject({
      subscriber: { server: 'sink', database, subscription: SUBSCRIPTION },
      publisher: { ...source, publications: ['orders_pub'], slot: { active: true } },
      state: 'streaming',
    });
    expect(await links.get('sink', database, SUBSCRIPTION)).toMatchObject({ publisher: source });
  });

  it('disables, refuses what needs it enabled, and enables again', async () => {
    const { result } = await subscriptions.disable('sink', database, SUBSCRIPTION);
    expect(result).toMatchObject({ enabled: false, state: 'disabled', workers: [] });
    await expect(subscriptions.refresh('sink', database, SUBSCRIPTION)).rejects.toMatchObject({ code: 'WRONG_STATE' });
    await publisher.run(database, `insert into orders values (102, 'while disabled')`);
    const before = await read();
    expect(before.slot).toMatchObject({ active: false });
    expect(before.lag.bytes).toBeGreaterThan(0);
    await subscriptions.enable('sink', database, SUBSCRIPTION);
    await until(({ state }) => state === 'streaming');
  });

  it('changes options its version has, and names the version for those it lacks', async () => {
    const patch = { options: { disableOnError: true, ...(to >= 14 ? { binary: true } : {}) } };
    const attempt = subscriptions.patch('sink', database, SUBSCRIPTION, patch);
    if (to < 15) {
      await expect(attempt).rejects.toMatchObject({
        code: 'OPTION_NOT_SUPPORTED',
        options: { extra: { minimumVersion: 15 } },
      });
      return;
    }
    expect((await attempt).result!.options).toMatchObject({ binary: true, disableOnError: true });
    await subscriptions.patch('sink', database, SUBSCRIPTION, { options: { binary: false, disableOnError: false } });
    expect(
      (await subscriptions.patch('sink', database, SUBSCRIPTION, { options: { binary: false } })).statements,
    ).toEqual([]);
    await expect(
      subscriptions.patch('sink', database, SUBSCRIPTION, { options: { copyData: true } }),
    ).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      options: { hint: expect.stringContaining('refresh'), extra: { rule: 'only-at-creation' } },
    });
    await until(({ state }) => state === 'streaming');
  });

  it('takes up a new table on refresh', async () => {
    for (const server of [subscriber, publisher]) await server.run(database, 'create table late (id int primary key)');
    await publisher.run(database, 'insert into late values (1)');
    const { target } = await publications.get('source', database, 'orders_pub');
    if (target.kind !== 'tables') throw new Error('unexpected target');
    const late = { schema: 'public', name: 'late', columns: null, where: null };
    await publications.patch('source', database, 'orders_pub', {
      target: { kind: 'tables', tables: [...target.tables, late] },
    });
    await subscriptions.refresh('sink', database, SUBSCRIPTION);
    await until(({ tables }) => tables.some(({ name, state }) => name === 'late' && state === 'ready'));
  });

  it('says that it fails, counts why, and skips the transaction it is told to', async () => {
    await until(({ state }) => state === 'streaming');
    await subscriber.run(database, `insert into orders values (500, 'in the way')`);
    await publisher.run(database, `insert into orders values (500, 'from the publisher')`);
    if (to < 15) {
      await until(({ state, reason }) => state === 'stalled' && reason!.includes('counts no errors'));
      await expect(
        skips.skip('sink', database, SUBSCRIPTION, { lsn: 1n as never, force: false }),
      ).rejects.toMatchObject({
        code: 'OPTION_NOT_SUPPORTED',
      });
      await subscriber.run(database, 'delete from orders where id = 500');
    } else {
      const failing = await until(({ state, errors }) => state === 'failing' && errors!.apply > 0);
      expect(failing.lag.bytes).toBeGreaterThan(0);
      history = [{ ageSeconds: 3600, lsn: parseLsn('0/1') }];
      const { lag } = await read();
      expect(lag).toEqual({ bytes: expect.any(Number), seconds: expect.any(Number), reason: null });
      expect(lag.seconds).toBeGreaterThan(0);
      expect(lag.seconds).toBeLessThan(3600);
      if (to >= 18) expect(failing.conflicts!.insertExists).toBeGreaterThan(0);
      await expect(
        skips.skip('sink', database, SUBSCRIPTION, { lsn: 1n as never, force: false }),
      ).rejects.toMatchObject({
        code: 'CONFLICT',
        options: { extra: { rule: 'skip-forward' } },
      });
      await subscriber.run(database, 'delete from orders where id = 500');
    }
    await until(({ state, lag }) => state === 'streaming' && lag.bytes !== null);
  });

  it('drops without its publisher only when told to keep the slot, and says what it left', async () => {
    const slot = `slot_${from}_${to}`;
    await subscriptions.patch('sink', database, SUBSCRIPTION, {
      connection: `host=127.0.0.1 port=1 dbname=${database}`,
      force: true,
    });
    expect((await read()).lag).toEqual({
      bytes: null,
      seconds: null,
      reason: 'the publisher is not a registered server',
    });
    await expect(subscriptions.drop('sink', database, SUBSCRIPTION, 'drop')).rejects.toMatchObject({
      code: 'CONFLICT',
      options: { hint: expect.stringContaining('?slot=keep') },
    });
    const { result } = await subscriptions.drop('sink', database, SUBSCRIPTION, 'keep');
    expect(result).toEqual({
      name: SUBSCRIPTION,
      slotLeft: {
        ...{ name: slot, publisher: null, host: '127.0.0.1', port: '1', database },
        cleanUp: { method: null, path: null, sql: expect.stringContaining(`'${slot}'`) },
      },
      tableSlotsLeft: [],
    });
    await expect(read()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await eventually(async () => (await slots.get('source', slot)).active === false, { within: 10_000 });
    await slots.drop('source', slot);
    expect(await slotNames()).not.toContain(slot);
  });

  it('drops with its slot when the publisher is there', async () => {
    const name = `plain_${from}_${to}`;
    await subscriptions.create('sink', database, {
      name,
      publisher: source,
      publications: ['orders_pub'],
      options: { copyData: false },
    });
    expect(await slotNames()).toContain(name);
    expect((await subscriptions.drop('sink', database, name, 'drop')).result).toEqual({
      ...{ name, slotLeft: null, tableSlotsLeft: [] },
    });
    expect(await slotNames()).not.toContain(name);
  });

  it('drops also when its slot is gone from the publisher already', async () => {
    const name = `slotless_${from}_${to}`;
    const options = { copyData: false, enabled: false };
    await subscriptions.create('sink', database, { name, publisher: source, publications: ['orders_pub'], options });
    await slots.drop('source', name, { force: true });
    expect((await subscriptions.drop('sink', database, name, 'drop', { dryRun: true })).warnings).toEqual([]);
    expect((await subscriptions.drop('sink', database, name, 'drop')).result).toEqual({
      ...{ name, slotLeft: null, tableSlotsLeft: [] },
    });
    await expect(subscriptions.get('sink', database, name)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
