import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readPublications } from '../../src/postgres/catalog/publications.js';
import { readSubscriptions } from '../../src/postgres/catalog/subscriptions.js';
import { buildConninfo } from '../../src/postgres/ddl/conninfo.js';
import { OPTION_TABLES } from '../../src/postgres/ddl/options/option-docs.js';
import type { OptionRule } from '../../src/postgres/ddl/options/option-rule.js';
import { PUBLICATION_OPTIONS } from '../../src/postgres/ddl/options/publication-options.js';
import { SUBSCRIPTION_OPTIONS } from '../../src/postgres/ddl/options/subscription-option-table.js';
import { createReplicationSlot, dropReplicationSlot } from '../../src/postgres/ddl/replication-slot.ddl.js';
import { runStatements } from '../../src/postgres/ddl/run-statements.js';
import {
  ignoredByPublisher,
  checkCreateOptions,
  type SubscriptionOption,
  type SubscriptionOptions,
} from '../../src/postgres/ddl/subscription-options.js';
import {
  createSubscription,
  dropSubscriptionKeepingSlot,
  setSubscriptionOptions,
} from '../../src/postgres/ddl/subscription.ddl.js';
import type { Session } from '../../src/postgres/session.js';
import { sqlstateOf } from '../../src/postgres/translate-error.js';
import { Problem } from '../../src/problems/problem.js';
import { PG18 } from '../../src/shared/server-version.js';
import { drawn, ONE_CASE } from '../support/drawn.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'options';
/** How a server says that it does not know something: syntax, parameter value, function. */
const UNKNOWN = new Set(['42601', '22023', '42883']);
/** How they refuse a subscription for a version: the subscriber a word of the list, the publisher one of the protocol. */
const REFUSED_BY = { version: '42601', 'only-at-creation': '42601', 'older-publisher': '08P01' } as const;
const RUNS = Number(process.env.LOCKSTEP_SOAK_RUNS ?? 8);

const servers = new Map<number, TestServer>();

beforeAll(async () => {
  for (const major of AVAILABLE_MAJORS) {
    const server = await TestServer.shared(major);
    servers.set(major, server);
    await server.freshDatabase(DATABASE);
    await server.run(DATABASE, 'create table t (id int primary key, n int); create publication "all" for table t');
  }
});
afterAll(async () => {
  for (const server of servers.values()) await server.stop();
});

/** Whether the server knows what the statement says, whatever else it has against it. */
async function knows(session: Session, sql: string): Promise<boolean> {
  const state = await session.execute(sql).then(() => null, sqlstateOf);
  return state === null || !UNKNOWN.has(state ?? '');
}

describe.each(AVAILABLE_MAJORS)('the option table on PostgreSQL %i', (major) => {
  let session: Session;

  beforeAll(async () => {
    session = await servers.get(major)!.open(DATABASE);
  });
  afterAll(async () => {
    await session?.close();
  });

  const expected = (since: number | null) => since !== null && session.versionNum >= since;
  const each = (title: string) => OPTION_TABLES[title]!.map((rule): [string, OptionRule] => [rule.example, rule]);

  it.each(each('Publications'))('publication %s', async (example, { since, alterSince = since }) => {
    try {
      expect(await knows(session, `create publication p ${example}`)).toBe(expected(since));
      if (alterSince === null) return;
      await session.execute('drop publication if exists p; create publication p');
      const change = example.startsWith('with') ? example.replace('with', 'set') : example.replace('for', 'add');
      expect(await knows(session, `alter publication p ${change}`)).toBe(expected(alterSince));
    } finally {
      await session.execute('drop publication if exists p');
    }
  });

  /** What CREATE SUBSCRIPTION needs beside the example to make no connection. */
  const unconnected = (example: string) =>
    [
      ...(example.startsWith('connect') ? [] : ['connect = false']),
      ...(example.startsWith('slot_name') ? [] : ['slot_name = none']),
    ].join(', ');
  const create = (list: string) => `create subscription s connection 'port=1' publication p with (${list})`;
  const forget = () =>
    session
      .execute('alter subscription s set (slot_name = none); drop subscription s')
      .catch((error: unknown) => expect(sqlstateOf(error)).toBe('42704'));

  it.each(each('Subscriptions'))('subscription %s', async (example, { since, alterSince = since }) => {
    expect(await knows(session, create(`${unconnected(example)}, ${example}`))).toBe(expected(since));
    await forget();
    await session.execute(create(unconnected('')));
    try {
      expect(await knows(session, `alter subscription s set (${example})`)).toBe(expected(alterSince));
    } finally {
      await forget();
    }
  });

  it.each(each('Subscriptions: actions'))('%s', async (example, { since }) => {
    await session.execute(create(unconnected('')));
    try {
      expect(await knows(session, example)).toBe(expected(since));
    } finally {
      await forget();
    }
  });

  it.each(each('Replication slots'))('select %s', async (example, { since }) => {
    expect(await knows(session, `select ${example.replace('s_slot', `options_${major}`)}`)).toBe(expected(since));
    await session.execute(
      `select pg_catalog.pg_drop_replication_slot(slot_name) from pg_catalog.pg_replication_slots
        where slot_name = 'options_${major}'`,
    );
  });

  /** The default of that version, where it has the option. */
  function defaultOf({ since, defaults }: OptionRule): string | null {
    if (session.versionNum < since) return null;
    return defaults.filter((each) => each.since <= session.versionNum).at(-1)!.value;
  }

  it('has the defaults of the table', async () => {
    await session.execute(create(unconnected('')));
    await session.execute('create publication p');
    try {
      const [created] = await readSubscriptions(session, 's');
      const settings: Record<string, unknown> = { ...created!.settings };
      const options = ['synchronousCommit', 'binary', 'streaming', 'twoPhase', 'disableOnError', 'origin'] as const;
      for (const option of [...options, 'passwordRequired', 'runAsOwner', 'failover'] as const) {
        const value = defaultOf(SUBSCRIPTION_OPTIONS[option]);
        if (value !== null) expect([option, String(settings[option])]).toEqual([option, value]);
      }
      const [publication] = await readPublications(session, 'p');
      expect(publication!.publish.join(', ')).toBe(defaultOf(PUBLICATION_OPTIONS.publish));
      expect(String(publication!.viaPartitionRoot)).toBe(defaultOf(PUBLICATION_OPTIONS.viaPartitionRoot));
      expect(publication!.generatedColumns).toBe(PUBLICATION_OPTIONS.generatedColumns.defaults[0].value);
    } finally {
      await forget();
      await session.execute('drop publication p');
    }
  });
});

const flag = fc.boolean();
/** Values of what may be given with a slot, valid somewhere; never enabled, so that nothing starts. */
const VALUES = {
  copyData: flag,
  createSlot: flag,
  binary: flag,
  streaming: fc.constantFrom('off' as const, 'on' as const, 'parallel' as const),
  twoPhase: flag,
  disableOnError: flag,
  origin: fc.constantFrom('any' as const, 'none' as const),
  failover: flag,
  synchronousCommit: fc.constantFrom('on' as const, 'local' as const, 'remote_apply' as const),
  passwordRequired: flag,
  runAsOwner: flag,
};
type Drawn = keyof typeof VALUES;

/** What one of the two versions does not take of the options: left out, or the only ones given. */
const FOREIGN: { option: Drawn; value: unknown; subscriberSince: number; publisherSince?: number }[] = [
  { option: 'binary', value: true, subscriberSince: 14 },
  { option: 'streaming', value: 'on', subscriberSince: 14 },
  { option: 'streaming', value: 'parallel', subscriberSince: 16 },
  { option: 'twoPhase', value: true, subscriberSince: 15 },
  { option: 'disableOnError', value: true, subscriberSince: 15 },
  { option: 'origin', value: 'none', subscriberSince: 16 },
  { option: 'passwordRequired', value: false, subscriberSince: 16 },
  { option: 'runAsOwner', value: true, subscriberSince: 16 },
  { option: 'failover', value: true, subscriberSince: 17, publisherSince: 17 },
];

/** Written down by PostgreSQL's release notes, not by the tables under test: what these two versions do not take. */
const foreignTo = (from: number, to: number) =>
  FOREIGN.filter(({ subscriberSince, publisherSince = 0 }) => to < subscriberSince || from < publisherSince);

/** Any options that both versions take. */
function knownOptions(from: number, to: number): fc.Arbitrary<SubscriptionOptions> {
  const foreign = foreignTo(from, to);
  const has = (option: Drawn) => FOREIGN.every((each) => each.option !== option || to >= each.subscriberSince);
  const names = (Object.keys(VALUES) as Drawn[]).filter((option) => (option === 'streaming' ? to >= 14 : has(option)));
  return fc
    .subarray(names)
    .chain((chosen) => fc.record(Object.fromEntries(chosen.map((option) => [option, VALUES[option]]))))
    .map((options) => options as SubscriptionOptions)
    .filter((options) => foreign.every(({ option, value }) => options[option] !== value));
}

/** Some that are not taken, at least one; null where everything is. */
function foreignOptions(from: number, to: number): fc.Arbitrary<SubscriptionOptions | null> {
  const foreign = foreignTo(from, to);
  if (foreign.length === 0) return fc.constant(null);
  return fc
    .subarray(foreign, { minLength: 1, maxLength: Math.min(2, foreign.length) })
    .map((some) => Object.fromEntries(some.map(({ option, value }) => [option, value])));
}

/** Options by which ALTER is tried one at a time. */
const ALTERED: SubscriptionOptions[] = [
  { synchronousCommit: 'local' },
  { binary: true },
  { streaming: 'on' },
  { streaming: 'parallel' },
  { twoPhase: true },
  { twoPhase: false },
  { disableOnError: true },
  { origin: 'none' },
  { passwordRequired: false },
  { runAsOwner: true },
  { failover: true },
  { failover: false },
  { copyData: false },
];

const PUBLISHERS = [AVAILABLE_MAJORS[0]!, AVAILABLE_MAJORS.at(-1)!];
const PAIRS: [number, number][] = [
  ...AVAILABLE_MAJORS.slice(1).flatMap((to) => PUBLISHERS.map((from): [number, number] => [from, to])),
  [17, 18],
];

describe.each(PAIRS)('subscription options, publisher %i and subscriber %i', (from, to) => {
  const name = `options_${from}_${to}`;
  let publisher: Session;
  let subscriber: Session;
  let connection: string;

  beforeAll(async () => {
    const { host, port, user, password } = servers.get(from)!;
    connection = buildConninfo({ host, port: String(port), user, password, dbname: DATABASE });
    publisher = await servers.get(from)!.open(DATABASE);
    subscriber = await servers.get(to)!.open(DATABASE);
  });
  afterAll(async () => {
    for (const session of [publisher, subscriber]) await session?.close();
  });

  const spec = (options: SubscriptionOptions) => ({ name, connection, publications: ['all'], options });
  const dropSlot = () =>
    publisher.execute(
      `select pg_catalog.pg_drop_replication_slot(slot_name) from pg_catalog.pg_replication_slots
        where slot_name = '${name}' and not active`,
    );

  async function drop(): Promise<void> {
    if ((await readSubscriptions(subscriber, name)).length === 0) return;
    await runStatements(subscriber, dropSubscriptionKeepingSlot(name));
    await dropSlot();
  }

  /** A slot as the options want it, where the subscription is not to create one. */
  async function prepareSlot({ createSlot, failover }: SubscriptionOptions): Promise<void> {
    await dropSlot();
    if (createSlot !== false) return;
    const slot = { name, kind: 'logical' as const, ...(failover && from >= 17 ? { failover } : {}) };
    await runStatements(publisher, createReplicationSlot(slot, publisher.versionNum));
  }

  /** Creates it or shows that the servers refuse it too, and for the same reason; answers which of the two. */
  async function tried(given: SubscriptionOptions): Promise<'accepted' | 'refused'> {
    // In one cluster CREATE SUBSCRIPTION would wait for itself.
    const options = { ...given, enabled: false, slotName: name, ...(from === to ? { createSlot: false } : {}) };
    await prepareSlot(options);
    const refusal = refusalOf(() => checkCreateOptions(options, subscriber.versionNum, publisher.versionNum));
    try {
      if (refusal === null) {
        await runStatements(subscriber, createSubscription(spec(options), subscriber.versionNum));
        const [created] = await readSubscriptions(subscriber, name);
        const { copyData: _once, createSlot: _too, enabled: _never, ...settings } = options;
        expect(created).toMatchObject({ enabled: false, settings });
        return 'accepted';
      }
      expect(refusal).toMatchObject({ code: 'OPTION_NOT_SUPPORTED', hint: expect.any(String) });
      expect(typeof refusal.minimumVersion).toBe('number');
      const state = await runStatements(subscriber, createSubscription(spec(options), PG18)).then(
        () => 'taken',
        ({ options: { sqlstate } }: Problem) => sqlstate,
      );
      // With a slot of its own the server takes this, and the slot could never be what the subscription says it is.
      const isTaken = refusal.rule === 'older-publisher' && options.createSlot === false;
      const expected = isTaken ? 'taken' : REFUSED_BY[refusal.rule as keyof typeof REFUSED_BY];
      expect([options, refusal.rule, state]).toEqual([options, refusal.rule, expected]);
      return 'refused';
    } finally {
      await drop();
    }
  }

  it('what is accepted is created, and what is refused the servers refuse', async () => {
    const seen = { accepted: 0, refused: 0 };
    const property = fc.asyncProperty(knownOptions(from, to), foreignOptions(from, to), async (known, foreign) => {
      seen[await tried(known)]++;
      if (foreign === null) return;
      expect(await tried({ ...known, ...foreign })).toBe('refused');
      seen.refused++;
    });
    await fc.assert(property, drawn(RUNS));
    if (ONE_CASE) return;
    expect(seen.accepted).toBeGreaterThan(RUNS / 3);
    expect(seen.refused).toBeGreaterThanOrEqual(foreignTo(from, to).length === 0 ? 0 : RUNS);
  });

  it('what can be altered is, and what is refused the servers refuse', async () => {
    await prepareSlot({ createSlot: false });
    const unaltered = { enabled: false, createSlot: false, copyData: false, slotName: name };
    await runStatements(subscriber, createSubscription(spec(unaltered), subscriber.versionNum));
    try {
      for (const options of ALTERED) {
        const alter = () => setSubscriptionOptions(name, options, subscriber.versionNum, publisher.versionNum);
        const refusal = refusalOf(alter);
        if (refusal === null) {
          const problem = await runStatements(subscriber, alter()).then(
            () => null,
            (error: Problem) => error.message,
          );
          expect([options, problem]).toEqual([options, null]);
          expect((await readSubscriptions(subscriber, name))[0]!.settings).toMatchObject(options);
        } else {
          const [option] = Object.entries(options)[0] as [SubscriptionOption, unknown];
          const { keyword } = SUBSCRIPTION_OPTIONS[option];
          const sql = `alter subscription "${name}" set (${keyword} = ${String(options[option])})`;
          const state = await subscriber.execute(sql).then(() => 'taken', sqlstateOf);
          const rule = String(refusal.rule);
          expect([options, rule, state]).toEqual([options, rule, REFUSED_BY[rule as keyof typeof REFUSED_BY]]);
        }
      }
    } finally {
      await drop();
    }
  });

  it('says what the publisher would ignore', () => {
    const ignored = ignoredByPublisher({ origin: 'none', binary: true, streaming: 'on' }, publisher.versionNum);
    expect(ignored.map(({ option }) => option)).toEqual(from < 14 ? ['binary', 'streaming', 'origin'] : []);
  });
});

describe.each(AVAILABLE_MAJORS)('slots on PostgreSQL %i', (major) => {
  it('what is accepted is created, and what is refused the server refuses', async () => {
    await servers.get(major)!.withSession(DATABASE, async (session) => {
      const name = `options_slot_${major}`;
      for (const twoPhase of [false, true]) {
        for (const failover of [false, true]) {
          const slot = { name, kind: 'logical' as const, twoPhase, failover };
          const refusal = refusalOf(() => createReplicationSlot(slot, session.versionNum));
          if (refusal === null) {
            await runStatements(session, createReplicationSlot(slot, session.versionNum));
            await runStatements(session, dropReplicationSlot(name));
          } else {
            expect(refusal).toMatchObject({ code: 'OPTION_NOT_SUPPORTED', rule: 'version' });
            const asOnNewest = createReplicationSlot(slot, PG18);
            await expect(runStatements(session, asOnNewest)).rejects.toMatchObject({
              options: { sqlstate: '42883' },
            });
          }
        }
      }
    });
  });

  it.each(['none', 'pg_conflict_detection', 'Slot', 'a b', ''])('no slot is named %j', (name) => {
    expect(refusalOf(() => createReplicationSlot({ name, kind: 'physical' }, PG18))).toMatchObject({
      code: 'INVALID_INPUT',
      rule: 'slot-name',
    });
  });
});

function refusalOf(check: () => unknown): ReturnType<Problem['toDocument']> | null {
  try {
    check();
    return null;
  } catch (error) {
    if (error instanceof Problem) return error.toDocument();
    throw error;
  }
}
