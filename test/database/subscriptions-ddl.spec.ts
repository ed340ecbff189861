import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readReplicationSlots } from '../../src/postgres/catalog/replication-slots.js';
import { readSubscriptions } from '../../src/postgres/catalog/subscriptions.js';
import { createReplicationSlot, dropReplicationSlot } from '../../src/postgres/ddl/replication-slot.ddl.js';
import { runStatements } from '../../src/postgres/ddl/run-statements.js';
import type { Statement } from '../../src/postgres/ddl/statement.js';
import type { SubscriptionOptions } from '../../src/postgres/ddl/subscription-options.js';
import {
  changeSubscriptionOwner,
  createSubscription,
  disableSubscription,
  dropSubscription,
  dropSubscriptionKeepingSlot,
  dropSubscriptionUnheard,
  enableSubscription,
  refreshSubscription,
  renameSubscription,
  setSubscriptionConnection,
  setSubscriptionOptions,
  setSubscriptionPublications,
  skipTransaction,
} from '../../src/postgres/ddl/subscription.ddl.js';
import { identifier } from '../../src/postgres/quoting.js';
import type { Session } from '../../src/postgres/session.js';
import type { Problem } from '../../src/problems/problem.js';
import { parseLsn } from '../../src/shared/lsn.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const CONNECTION = String.raw`host=127.0.0.1 port=1 dbname='o\'x' password='se\'cret \\ word'`;
/** No publisher is needed to create it: no connection is made. */
const UNCONNECTED: SubscriptionOptions = { enabled: false, createSlot: false, copyData: false, slotName: null };
const WEIRD = `Weird "Näme" -- ;`;

/** What each option becomes in CREATE SUBSCRIPTION, and the version it needs. */
const OPTIONS: { options: SubscriptionOptions; sql: string; since: number }[] = [
  { options: { synchronousCommit: 'remote_apply' }, sql: `synchronous_commit = 'remote_apply'`, since: 13 },
  { options: { binary: true }, sql: 'binary = true', since: 14 },
  { options: { streaming: 'on' }, sql: `streaming = 'on'`, since: 14 },
  { options: { streaming: 'parallel' }, sql: `streaming = 'parallel'`, since: 16 },
  { options: { twoPhase: true }, sql: 'two_phase = true', since: 15 },
  { options: { disableOnError: true }, sql: 'disable_on_error = true', since: 15 },
  { options: { origin: 'none' }, sql: `origin = 'none'`, since: 16 },
  { options: { passwordRequired: false }, sql: 'password_required = false', since: 16 },
  { options: { runAsOwner: true }, sql: 'run_as_owner = true', since: 16 },
  { options: { failover: true }, sql: 'failover = true', since: 17 },
];

describe.each(AVAILABLE_MAJORS)('subscription and slot statements on PostgreSQL %i', (major) => {
  const database = 'subscriptions_ddl';
  let server: TestServer;
  let session: Session;

  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase(database);
    session = await server.open(database);
  });

  afterAll(async () => {
    for (const { name } of await readSubscriptions(session)) {
      await runStatements(session, dropSubscriptionKeepingSlot(name));
    }
    await session.close();
    await server.stop();
  });

  const run = (statements: Statement[]) => runStatements(session, statements);
  const version = () => session.versionNum;

  /** CREATE SUBSCRIPTION that makes no connection, which our builder has no reason to offer. */
  const createOffline = (name: string, withOptions = '') =>
    session.execute(`create subscription ${identifier(name)} connection 'host=127.0.0.1 port=1' publication "p"
      with (connect = false, slot_name = none${withOptions})`);

  it.each(OPTIONS)('option $sql', async ({ options, sql, since }) => {
    const create = () =>
      createSubscription({ name: 's', connection: 'port=1', publications: ['p'], options }, version());
    if (major < since) {
      expect(catching(create)).toMatchObject({
        code: 'OPTION_NOT_SUPPORTED',
        options: { extra: { minimumVersion: since } },
      });
      // The server does not know it either: 42601, or 22023 for a value, said before it would connect.
      await expect(createOffline('s', `, ${sql}`)).rejects.toMatchObject({
        options: { sqlstate: expect.stringMatching(/^(42601|22023)$/) },
      });
      return;
    }
    expect(create()[0]!.sql).toBe(`create subscription "s" connection 'port=''1''' publication "p" with (${sql})`);
    await createOffline('s', `, ${sql}`);
    const [created] = await readSubscriptions(session, 's');
    expect(created!.settings).toMatchObject(options);
    await run(dropSubscription('s', false));
  });

  it('alters what the version can alter, and reads it back', async () => {
    await createOffline(WEIRD);
    const alterable: SubscriptionOptions = {
      synchronousCommit: 'local',
      ...(major >= 14 ? { binary: true, streaming: 'on' as const } : {}),
      ...(major >= 15 ? { disableOnError: true } : {}),
      ...(major >= 16 ? { origin: 'none' as const, runAsOwner: true, passwordRequired: false } : {}),
    };
    await run(setSubscriptionOptions(WEIRD, alterable, version()));
    await run(setSubscriptionPublications(WEIRD, ['q', WEIRD], { refresh: false }));
    await run(changeSubscriptionOwner(WEIRD, 'postgres'));
    const [changed] = await readSubscriptions(session, WEIRD);
    expect(changed).toMatchObject({
      publications: ['q', WEIRD],
      owner: 'postgres',
      enabled: false,
      settings: alterable,
    });
    await expect(run(enableSubscription(WEIRD))).rejects.toMatchObject({
      options: { sqlstate: major === 13 ? '42601' : '55000' },
    });
    await expect(run(refreshSubscription(WEIRD))).rejects.toMatchObject({
      options: { sqlstate: major === 13 ? '42601' : '55000' },
    });
    await run(renameSubscription(WEIRD, 'renamed'));
    await run(setSubscriptionOptions('renamed', { slotName: 'kept_slot' }, version()));
    await run(dropSubscriptionKeepingSlot('renamed'));
    expect(await readSubscriptions(session)).toEqual([]);
  });

  it('skips a transaction on 15 and newer, and takes it back', async () => {
    if (major < 15) {
      expect(catching(() => skipTransaction('s', parseLsn('0/10'), version()))).toMatchObject({
        code: 'OPTION_NOT_SUPPORTED',
      });
      return;
    }
    await createOffline('s');
    await run(skipTransaction('s', parseLsn('A/B0'), version()));
    expect((await readSubscriptions(session, 's'))[0]!.skipLsn).toBe('A/B0');
    await run(skipTransaction('s', null, version()));
    expect((await readSubscriptions(session, 's'))[0]!.skipLsn).toBeNull();
    await run(dropSubscription('s', false));
  });

  it('twoPhase and failover are altered only where the version can', async () => {
    const twoPhase = () => setSubscriptionOptions('s', { twoPhase: true }, version());
    if (major < 18) expect(catching(twoPhase)).toMatchObject({ code: 'OPTION_NOT_SUPPORTED' });
    else
      expect(twoPhase()).toMatchObject([{ sql: 'alter subscription "s" set (two_phase = true)', transactional: true }]);
    const failover = () => setSubscriptionOptions('s', { failover: false }, version());
    if (major < 17) expect(catching(failover)).toMatchObject({ code: 'OPTION_NOT_SUPPORTED' });
    else
      expect(failover()).toMatchObject([
        { sql: 'alter subscription "s" set (failover = false)', transactional: false },
      ]);
  });

  it('creates and drops slots of every kind', async () => {
    const name = `ddl_slot_${major}`;
    const kinds = [
      { spec: { name, kind: 'logical' as const }, since: 13, reads: { kind: 'logical', plugin: 'pgoutput', database } },
      { spec: { name, kind: 'logical' as const, twoPhase: true }, since: 14, reads: { twoPhase: true } },
      {
        spec: { name, kind: 'logical' as const, failover: true },
        since: 17,
        reads: { failover: true, twoPhase: false },
      },
      {
        spec: { name, kind: 'physical' as const, reserveImmediately: true },
        since: 13,
        reads: { kind: 'physical', walStatus: 'reserved' },
      },
    ];
    for (const { spec, since, reads } of kinds) {
      if (major < since) {
        expect(catching(() => createReplicationSlot(spec, version()))).toMatchObject({ code: 'OPTION_NOT_SUPPORTED' });
        continue;
      }
      await run(createReplicationSlot(spec, version()));
      const [slot] = await readReplicationSlots(session, name);
      expect(slot).toMatchObject({ name, active: false, invalidationReason: null, ...reads });
      expect(slot!.retainedBytes).toBeGreaterThanOrEqual(0);
      await run(dropReplicationSlot(name));
    }
    expect(await readReplicationSlots(session, name)).toEqual([]);
  });
});

describe('subscription statements', () => {
  const spec = { name: WEIRD, connection: CONNECTION, publications: ['p "1"', 'q'], options: UNCONNECTED };

  it('quotes everything, and hides the password in what is shown', () => {
    const [statement] = createSubscription(spec, 180000);
    expect(statement!.sql).toBe(
      `create subscription "Weird ""Näme"" -- ;" connection  E'host=''127.0.0.1'' port=''1'' dbname=''o\\\\''x'' password=''se\\\\''cret \\\\\\\\ word''' publication "p ""1""", "q" with (enabled = false, copy_data = false, create_slot = false, slot_name = none)`,
    );
    expect(statement!.redactedSql).toContain("password=''********''");
    expect(statement!.redactedSql).not.toContain('cret');
    expect(setSubscriptionConnection('s', CONNECTION)[0]!.redactedSql).not.toContain('cret');
  });

  it('says what cannot run in a transaction', () => {
    const created = (options: SubscriptionOptions) =>
      createSubscription({ ...spec, options }, 180000).map(({ transactional }) => transactional);
    expect(created({ slotName: 's' })).toEqual([false]);
    expect(created({ createSlot: false, slotName: 's' })).toEqual([true]);
    expect(refreshSubscription('s', { copyData: false })).toMatchObject([
      { sql: 'alter subscription "s" refresh publication with (copy_data = false)', transactional: false },
    ]);
    expect(setSubscriptionPublications('s', ['p'], { refresh: true, copyData: false })).toMatchObject([
      {
        sql: 'alter subscription "s" set publication "p" with (refresh = true, copy_data = false)',
        transactional: false,
      },
    ]);
    expect(dropSubscription('s', true)).toMatchObject([{ sql: 'drop subscription "s"', transactional: false }]);
    expect(disableSubscription('s')).toMatchObject([{ sql: 'alter subscription "s" disable', transactional: true }]);
    expect(dropSubscriptionKeepingSlot('s').map(({ sql, transactional }) => [sql, transactional])).toEqual([
      ['alter subscription "s" disable', true],
      ['alter subscription "s" set (slot_name = none)', true],
      ['drop subscription "s"', true],
    ]);
    const unheard = (version: number) => dropSubscriptionUnheard('s', version).map(({ redactedSql }) => redactedSql);
    expect(unheard(130000)).toEqual(dropSubscriptionKeepingSlot('s').map(({ sql }) => sql));
    expect(unheard(140000)).toEqual([
      'alter subscription "s" disable',
      `alter subscription "s" connection 'host=''localhost'' port=''0'' password=''********'''`,
      'alter subscription "s" set (slot_name = none)',
      'drop subscription "s"',
    ]);
  });

  it.each<[string, () => unknown]>([
    ['no slot, enabled', () => createSubscription({ ...spec, options: { slotName: null, createSlot: false } }, 180000)],
    ['no slot, created', () => createSubscription({ ...spec, options: { slotName: null, enabled: false } }, 180000)],
    ['a slot name with capitals', () => createSubscription({ ...spec, options: { slotName: 'Slot' } }, 180000)],
    ['the slot name "none"', () => createSubscription({ ...spec, options: { slotName: 'none' } }, 180000)],
    ['no publication', () => createSubscription({ ...spec, publications: [] }, 180000)],
    ['a publication twice', () => createSubscription({ ...spec, publications: ['p', 'p'] }, 180000)],
    ['a bad connection string', () => createSubscription({ ...spec, connection: 'host x password=hidden' }, 180000)],
    ['copyData later', () => setSubscriptionOptions('s', { copyData: true }, 180000)],
    ['slotName with twoPhase false', () => setSubscriptionOptions('s', { slotName: 'x', twoPhase: false }, 180000)],
    ['skipping nothing', () => skipTransaction('s', parseLsn('0/0'), 180000)],
  ])('refuses %s', (_what, build) => {
    const refusal = catching(build);
    expect(refusal).toMatchObject({ code: 'INVALID_INPUT' });
    expect(JSON.stringify(refusal!.toDocument())).not.toContain('hidden');
  });
});

function catching(work: () => unknown): Problem | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return error as Problem;
  }
}
