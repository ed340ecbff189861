import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { TestServer } from '../support/postgres-fleet.js';

interface Slot {
  name: string;
  active: boolean;
  orphan: boolean | null;
  /** Of the walsender: a session that is still creating the slot has none. */
  reader: object | null;
  owner: { kind: string; name: string; live: boolean; detail: string } | null;
  inactiveSince: string | null;
  conflicting: boolean | null;
}

interface Refusal {
  code: string;
  detail: string;
  hint: string;
}

const DATABASE = 'slots_owned';
const SLOTS = '/v1/servers/old/replication-slots';

/** On servers of their own: a slot's creation is held up by a transaction, which would hold up those of others too. */
describe.each([
  [14, 18],
  [16, 17],
  [17, 18],
])('slots that Lockstep itself reads from, %i -> %i', (from, to) => {
  let lockstep: Lockstep;
  let publisher: TestServer;
  let subscriber: TestServer;

  beforeAll(async () => {
    [lockstep, publisher, subscriber] = await Promise.all([
      Lockstep.start(),
      TestServer.start(from),
      TestServer.start(to),
    ]);
    for (const [name, server] of [
      ['old', publisher],
      ['new', subscriber],
    ] as const) {
      await server.freshDatabase(DATABASE);
      await server.run(DATABASE, 'create table t (id int primary key)');
      const { host, port, user, password } = server;
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      await lockstep.ok('POST', '/v1/servers', body);
    }
    await publisher.run(DATABASE, 'create publication p for table t; insert into t select generate_series(1, 10)');
    await lockstep.ok('POST', `/v1/servers/new/databases/${DATABASE}/subscriptions`, {
      name: 'owned',
      publisher: { server: 'old', database: DATABASE },
      publications: ['p'],
      options: { slotName: 'owned' },
    });
    await eventually(
      async () => {
        const { state } = await lockstep.ok<{ state: string }>('GET', subscription);
        return state === 'streaming';
      },
      { within: 30_000 },
    );
  }, 90_000);

  afterAll(async () => {
    await lockstep?.dispose();
    for (const server of [publisher, subscriber]) await server?.stop();
  }, 60_000);

  const subscription = `/v1/servers/new/databases/${DATABASE}/subscriptions/owned`;
  const subscriberOf = { server: 'new', database: DATABASE, subscription: 'owned' };
  const slot = (name: string) => lockstep.ok<Slot>('GET', `${SLOTS}/${name}`);
  const drop = (name: string, query = '') => lockstep.request<Refusal>('DELETE', `${SLOTS}/${name}${query}`);
  const gone = async (name: string) => (await lockstep.request('GET', `${SLOTS}/${name}`)).status === 404;
  /** Once it is there as `holds` says. */
  const seen = (name: string, holds: (slot: Slot) => boolean) =>
    eventually(
      async () => {
        const { status, body } = await lockstep.request<Slot>('GET', `${SLOTS}/${name}`);
        return status === 200 && holds(body) ? body : null;
      },
      { within: 30_000, every: 50 },
    );
  const ended = (operation: string) =>
    eventually(
      async () => {
        const { state } = await lockstep.ok<{ state: string }>('GET', `/v1/operations/${operation}`);
        return ['succeeded', 'failed', 'cancelled'].includes(state) ? state : null;
      },
      { within: 90_000 },
    );
  /** Versions that do not say are not said for. */
  const idle = {
    active: false,
    inactiveSince: from >= 17 ? expect.any(String) : null,
    conflicting: from >= 16 ? false : null,
  };
  const read = { active: true, inactiveSince: null, conflicting: idle.conflicting };

  async function refusedUnlessForced(name: string, owner: string, advice: string): Promise<void> {
    for (const query of ['', '?dryRun=true', '?force=false']) {
      const refused = await drop(name, query);
      expect([refused.status, refused.body.code]).toEqual([409, 'CONFLICT']);
      expect(refused.body.detail).toContain(owner);
      expect(refused.body.hint).toContain(advice);
    }
    expect((await slot(name)).name).toBe(name);
    const planned = await lockstep.ok<{ statements: { sql: string }[] }>(
      'DELETE',
      `${SLOTS}/${name}?force=true&dryRun=true`,
    );
    expect(planned.statements).toMatchObject([{ sql: expect.stringContaining(name) }]);
    expect((await drop(name, '?force=true')).status).toBe(204);
    expect(await gone(name)).toBe(true);
  }

  it("a verification's is dropped only by force while nobody reads from it yet, and the verification says that it failed", async () => {
    const since = Date.now();
    const blocker = await subscriber.open('postgres');
    let id: string;
    try {
      // The subscriber's slot waits for this transaction; the publisher's is made before.
      await blocker.execute('begin; select pg_catalog.txid_current()');
      ({ id } = await lockstep.ok<{ id: string }>('POST', '/v1/verifications', {
        kind: 'at-rest',
        subscriber: subscriberOf,
      }));
      const name = `lockstep_v_${id.replaceAll('-', '')}`;
      const held = await seen(name, ({ active }) => !active);
      expect(held).toMatchObject({ ...idle, orphan: false, owner: { kind: 'verification', name: id, live: true } });
      if (held.inactiveSince !== null) {
        // Of the server's clock, which is this machine's.
        expect(Date.parse(held.inactiveSince)).toBeGreaterThanOrEqual(since - 1000);
        expect(Date.parse(held.inactiveSince)).toBeLessThanOrEqual(Date.now() + 1000);
      }
      const list = await lockstep.ok<{ items: Slot[] }>('GET', SLOTS);
      expect(list.items.find((each) => each.name === name)).toMatchObject({
        owner: { kind: 'verification', name: id },
      });
      const onSubscriber = await eventually(
        async () => {
          const other = `/v1/servers/new/replication-slots/lockstep_s_${id.replaceAll('-', '')}`;
          const { status, body } = await lockstep.request<Slot>('GET', other);
          return status === 200 ? body : null;
        },
        { within: 20_000 },
      );
      expect(onSubscriber.owner).toMatchObject({ kind: 'verification', name: id, live: true });
      await refusedUnlessForced(name, `verification ${id}, running`, 'Cancel the verification');
    } finally {
      await blocker.close();
    }
    expect(await ended(id)).toBe('failed');
    const problem = (await lockstep.ok<{ problem: { detail: string } }>('GET', `/v1/operations/${id}`)).problem;
    expect(problem.detail).toContain('lockstep_v_');
  }, 120_000);

  it("a verification's is dropped by no force while it is read, and goes with it", async () => {
    lockstep.arm('verification.opened=wait:4000');
    const { id } = await lockstep.ok<{ id: string }>('POST', '/v1/verifications', {
      kind: 'at-rest',
      subscriber: subscriberOf,
    });
    const name = `lockstep_v_${id.replaceAll('-', '')}`;
    const active = await seen(name, ({ reader }) => reader !== null);
    expect(active).toMatchObject({ ...read, orphan: false, owner: { kind: 'verification', name: id, live: true } });
    for (const query of ['', '?force=true']) {
      const refused = await drop(name, query);
      expect([refused.status, refused.body.code]).toEqual([409, 'SLOT_ACTIVE']);
    }
    expect(await ended(id)).toBe('succeeded');
    lockstep.arm();
    expect(await gone(name)).toBe(true);
  }, 120_000);

  it("a resync's is named, dropped by no force while it is read, and goes with it", async () => {
    lockstep.arm('resync.held=wait:4000');
    const { id } = await lockstep.ok<{ id: string }>('POST', `${subscription}/tables/public/t/resync`);
    const name = `lockstep_v_${id.replaceAll('-', '')}`;
    const active = await seen(name, ({ reader }) => reader !== null);
    expect(active).toMatchObject({ ...read, orphan: false, owner: { kind: 'resync', name: id, live: true } });
    expect(active.owner!.detail).toContain('public.t, under way');
    const refused = await drop(name, '?force=true');
    expect([refused.status, refused.body.code]).toEqual([409, 'SLOT_ACTIVE']);
    expect(await ended(id)).toBe('succeeded');
    lockstep.arm();
    expect(await gone(name)).toBe(true);
  }, 120_000);

  it('an upgrade’s is dropped only by force, and the upgrade can be aborted all the same', async () => {
    const database = 'slots_upgraded';
    for (const server of [publisher, subscriber]) await server.freshDatabase(database);
    await publisher.run(database, 'create table u (id int primary key); insert into u values (1)');
    lockstep.arm('upgrade.replication-slot.acted=throw');
    const upgrade = await lockstep.ok<{ operationId: string }>('POST', '/v1/upgrades', {
      name: 'holder',
      source: { server: 'old', database },
      target: { server: 'new', database },
      traffic: { kind: 'sql-fence' },
    });
    expect(await ended(upgrade.operationId)).toBe('failed');
    lockstep.arm();
    const { items } = await lockstep.ok<{ items: Slot[] }>('GET', SLOTS);
    const [made] = items.filter(({ owner }) => owner?.kind === 'upgrade');
    expect(made).toMatchObject({
      ...idle,
      name: expect.stringMatching(/^lockstep_[0-9a-f]{10}$/),
      orphan: false,
      owner: { kind: 'upgrade', name: 'holder', live: true },
    });
    await refusedUnlessForced(made!.name, 'upgrade "holder", phase failed', 'Abort or finalize the upgrade');
    const abort = await lockstep.ok<{ operationId: string }>('POST', '/v1/upgrades/holder/abort');
    expect(await ended(abort.operationId)).toBe('succeeded');
    expect(await lockstep.ok('GET', '/v1/upgrades/holder')).toMatchObject({ phase: 'aborted' });
  }, 180_000);
});
