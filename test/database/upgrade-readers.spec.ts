import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { Session } from '../../src/postgres/session.js';
import { readFingerprint } from '../../src/postgres/schema/fingerprint.js';
import { parseLsn } from '../../src/shared/lsn.js';
import type { StreamedTransaction } from '../../src/postgres/replication/streamed-transaction.js';
import type { UpgradeRepository } from '../../src/upgrades/upgrade.repository.js';
import type { UpgradeFacts } from '../../src/upgrades/facts.js';
import { objectNames } from '../../src/upgrades/object-names.js';
import { verifiedReaders } from '../../src/upgrades/steps/pre-switchover.step.js';
import { GateWatch } from '../../src/upgrades/workflow/gate-watch.js';
import { Readers } from '../../src/upgrades/workflow/readers.js';
import type { Side, StepContext } from '../../src/upgrades/workflow/step.js';
import { eventually } from '../support/eventually.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { LinkFixture } from './verification/link-fixture.js';

const DATABASE = 'upgrade_readers';

/** How far an upgrade's equality is carried by what is touched after a verification. */
describe('readers of an upgrade', () => {
  let link: LinkFixture;
  let sessions: Record<Side, Session>;
  let readers: Readers;
  let facts: UpgradeFacts;
  let verifications: number;
  /** Called when a verification has compared everything. */
  let meanwhile: () => Promise<void>;
  let progressed: () => Promise<void>;
  let recording: () => void;

  beforeAll(async () => {
    link = await LinkFixture.create(
      await TestServer.shared(14),
      await TestServer.shared(AVAILABLE_MAJORS.at(-1)!),
      DATABASE,
    );
    sessions = {
      source: await Session.open(link.publisher.target(DATABASE), { purpose: 'test' }),
      target: await Session.open(link.subscriber.target(DATABASE), { purpose: 'test' }),
    };
  }, 120_000);
  beforeEach(async () => {
    meanwhile = progressed = async () => {};
    recording = () => {};
    verifications = 0;
    abandoned = [];
    gate = { awaiting: 'switchover', abortRequestedAt: null, problem: null };
    clock = 0;
    request.verification.required = true;
    facts = { fingerprint: await readFingerprint(sessions.source) };
    readers = await Readers.open(context, 'forward', context.signal);
    expect(await readers.verify(context)).toMatchObject({ verdict: 'equal' });
  });
  afterEach(() => readers.close());
  afterAll(async () => {
    if (link) await Readers.drop(context, 'forward');
    for (const session of Object.values(sessions ?? {})) await session.close();
    await link?.drop();
  });

  let abandoned: string[];
  let gate: { awaiting: string | null; abortRequestedAt: Date | null; problem: Record<string, unknown> | null };
  let clock: number;

  const request = { verification: { required: true }, deadlines: { drainMs: 30_000, slotMs: 30_000 } };
  /** Of an upgrade, what its readers need; the servers are real. */
  const context = {
    name: DATABASE,
    operationId: 'test',
    names: {
      ...objectNames('readers'),
      subscription: `${DATABASE}_sub`,
      slot: `${DATABASE}_sub`,
      readers: 'up_readers',
    },
    request,
    signal: new AbortController().signal,
    get facts() {
      return facts;
    },
    record: async (more: Partial<UpgradeFacts>) => {
      recording();
      facts = { ...facts, ...more };
    },
    forget: async (...names: (keyof UpgradeFacts)[]) => {
      for (const name of names) delete facts[name];
    },
    act: async (side: Side) => sessions[side],
    isLeft: () => false,
    connection: async (side: Side) => (side === 'source' ? link.publisher : link.subscriber).target(DATABASE),
    readers: async () => readers,
    beginVerification: async () => void verifications++,
    verificationProgress: () => progressed(),
    storeVerification: () => meanwhile(),
    abandonVerification: async (_id: string, reason: string) => void abandoned.push(reason),
    progress: async () => {},
    event: async () => {},
  } as unknown as StepContext;

  const onSource = (sql: string) => link.publisher.run(DATABASE, sql);
  /** What is done with the readers before a fence. */
  async function beforeTheFence(): Promise<void> {
    const verified = await verifiedReaders(context);
    verified.refuseFutileFence(await verified.advance(context.signal));
  }
  const touch = (ids: string) => onSource(`update sales.orders set customer = customer + 1 where id in (${ids})`);

  it('bring the verified LSN forward by what was touched, however much, without comparing everything again', async () => {
    const before = facts.verifiedLsn!;
    await onSource(`insert into sales.by_index select 'm' || i, 'many', null from generate_series(1, 51000) i`);
    await beforeTheFence();
    expect(verifications).toBe(1);
    expect(parseLsn(facts.verifiedLsn!) > parseLsn(before)).toBe(true);
    await touch('1, 2, 3');
    expect(await readers.checkTouched(context.signal)).toMatchObject({ keys: 3, differences: [] });
    await onSource(`delete from sales.by_index where region = 'many'`);
  }, 60_000);

  it('keep no WAL on the source for what others wrote on the target and was not compared yet', async () => {
    const confirmed = async () => {
      const { lsn } = await link.publisher.withSession(DATABASE, (session) =>
        session.row<{ lsn: string }>(
          `select confirmed_flush_lsn::text as lsn from pg_replication_slots where slot_name = 'lockstep_v_up_readers'`,
        ),
      );
      return parseLsn(lsn);
    };
    meanwhile = async () => {
      await link.plant(`update sales.orders set note = note where id = 9`);
      await eventually(() => !readers.standing.endsWith(',0]'), { within: 20_000 });
    };
    await touch('1, 2, 3');
    expect(await readers.verify(context)).toMatchObject({ verdict: 'equal' });
    expect(readers.needsVerification).toBe(true);
    await eventually(async () => (await confirmed()) >= parseLsn(facts.verifiedLsn!), { within: 30_000 });
  }, 60_000);

  it('record the LSN before the slots may forget: a crash in between loses nothing', async () => {
    const verified = facts.verifiedLsn;
    await touch('1, 2, 3');
    recording = () => {
      throw new Error('crash');
    };
    await expect(readers.advance(context.signal)).rejects.toThrow('crash');
    recording = () => {};
    await readers.close();
    expect(facts.verifiedLsn).toBe(verified);
    readers = await Readers.open(context, 'forward', context.signal);
    expect(await readers.checkTouched(context.signal)).toMatchObject({ keys: 3, differences: [] });
  });

  it('find a difference ahead; then only a verification of everything counts', async () => {
    await link.plant(`update sales.orders set document = 'planted' where id = 7`);
    await readers.catchUp(30_000);
    expect(readers.needsVerification).toBe(true);
    const before = facts.verifiedLsn;
    expect(await readers.advance(context.signal)).toBeNull();
    expect(facts.verifiedLsn).toBe(before);
    await expect(readers.verify(context)).rejects.toThrow(/different/);
    // As if the row had come to differ without a stream that told of it.
    facts.verdict = 'equal';
    await touch('7');
    await expect(readers.advance(context.signal)).rejects.toThrow('1 rows differ');
    expect(facts.verdict).toBeUndefined();
    await onSource(`update sales.orders set document = 'mended' where id = 7`);
    expect(await readers.verify(context)).toMatchObject({ verdict: 'equal' });
  });

  it('do not build on a verification of what was rewritten since, on either side', async () => {
    const rewrite = `alter table sales.orders alter document type text using document || ''`;
    await onSource(rewrite);
    await expect(readers.checkTouched(context.signal)).rejects.toMatchObject({
      detail: expect.stringContaining('rewritten'),
    });
    expect(facts.verdict).toBeUndefined();
    expect(await readers.verify(context)).toMatchObject({ verdict: 'equal' });
    expect(await readers.forgetIfRewritten()).toBe(false);
    await link.plant(rewrite);
    expect(await readers.forgetIfRewritten()).toBe(true);
    expect(await readers.verify(context)).toMatchObject({ verdict: 'equal' });
  });

  it('see what a trigger wrote besides while a change was applied', async () => {
    await link.plant(`
      create function sales.more() returns trigger language plpgsql as $$
        begin insert into sales.by_index values ('besides', gen_random_uuid()::text, null); return null; end $$;
      create trigger more after update on sales.orders for each row execute function sales.more();
      alter table sales.orders enable always trigger more`);
    expect(await readers.verify(context)).toMatchObject({ verdict: 'equal' });
    await touch('1');
    const { differences } = await readers.checkTouched(context.signal);
    expect(differences).toMatchObject([{ table: 'by_index', kind: 'extra' }]);
    await link.plant(`drop trigger more on sales.orders; delete from sales.by_index where code = 'besides'`);
    expect(await readers.verify(context)).toMatchObject({ verdict: 'equal' });
  });

  it('count a transaction too large to be kept as a change like any other', async () => {
    const fed = readers as unknown as { published(transaction: Partial<StreamedTransaction>): void };
    fed.published({ xid: 1, changes: [], overflow: true, endLsn: parseLsn('0/A') });
    expect(await readers.changesAfter(parseLsn('0/9'), parseLsn('0/1'), 1_000)).toEqual([
      { schema: null, table: null, lsn: '0/A' },
    ]);
  });

  it('refuse a fence that could only fail: what overtook the verification is named before anybody is barred', async () => {
    meanwhile = async () => {
      await onSource('truncate sales.insert_only');
      await readers.catchUp(30_000);
    };
    await onSource('truncate sales.insert_only');
    await expect(beforeTheFence()).rejects.toMatchObject({
      detail: expect.stringContaining('truncated'),
      options: { hint: expect.stringContaining('hold back TRUNCATE') },
    });
    expect(verifications).toBe(2);
    meanwhile = async () => {};
    await beforeTheFence();
    expect(verifications).toBe(3);
  });

  it('refuse a fence while the link applies nothing: inside it that would be waited for, with nobody able to write', async () => {
    await link.subscriber.run(DATABASE, `alter subscription ${DATABASE}_sub disable`);
    try {
      await touch('1, 2, 3');
      await expect(beforeTheFence()).rejects.toMatchObject({
        code: 'CONFLICT',
        detail: expect.stringContaining('is disabled'),
      });
    } finally {
      await link.subscriber.run(DATABASE, `alter subscription ${DATABASE}_sub enable`);
    }
    await beforeTheFence();
  }, 60_000);

  it('opened inside a fence, end it where a slot vanished: one made anew would show that nothing was written', async () => {
    const slot = `select slot_name::text as name from pg_catalog.pg_replication_slots where slot_name like '%up\\_readers%'`;
    await readers.close();
    const { name } = await sessions.source.row<{ name: string }>(slot);
    await eventually(
      () => link.publisher.run(DATABASE, `select pg_drop_replication_slot('${name}')`).then(() => true),
      { within: 20_000 },
    );
    facts = { ...facts, sourceFence: { roles: [] } as unknown as NonNullable<UpgradeFacts['sourceFence']> };
    await expect(Readers.open(context, 'forward', context.signal)).rejects.toMatchObject({
      code: 'CONFLICT',
      detail: expect.stringContaining('on the source is gone'),
    });
    expect([facts.verdict, facts.verifiedLsn]).toEqual([undefined, undefined]);
    expect(await sessions.source.rows(slot)).toEqual([]);
    delete facts.sourceFence;
    readers = await Readers.open(context, 'forward', context.signal);
  }, 60_000);

  it('take the slots from an earlier holder at once, whose host may be gone', async () => {
    await readers.close();
    const { publication } = await sessions.source.row<{ publication: string }>(
      'select pubname::text as publication from pg_catalog.pg_publication limit 1',
    );
    // It never says goodbye and never answers: the server takes it for alive until wal_sender_timeout.
    const earlier = new pg.Client({
      ...{ host: link.publisher.host, port: link.publisher.port, database: DATABASE },
      ...{ user: link.publisher.user, password: link.publisher.password },
      ...{ application_name: 'lockstep stream of an earlier holder', replication: 'database' },
    });
    earlier.on('error', () => {});
    await earlier.connect();
    const name = 'lockstep_v_up_readers';
    earlier
      .query(`START_REPLICATION SLOT ${name} LOGICAL 0/0 (proto_version '1', publication_names '"${publication}"')`)
      .catch(() => {});
    const holder = 'select active_pid from pg_catalog.pg_replication_slots where slot_name = $1 and active';
    await eventually(async () => (await sessions.source.rows(holder, [name])).length > 0, { within: 20_000 });
    const begun = Date.now();
    readers = await Readers.open(context, 'forward', context.signal);
    expect(Date.now() - begun).toBeLessThan(20_000);
    await touch('1, 2, 3');
    expect(await readers.checkTouched(context.signal)).toMatchObject({ keys: 3, differences: [] });
  }, 60_000);

  describe('while a gate waits', () => {
    const repository = {
      find: async () => {
        looks++;
        return gate;
      },
      patch: async (_name: string, patch: Partial<typeof gate>) => void Object.assign(gate, patch),
    } as unknown as UpgradeRepository;
    let looks = 0;
    const newWatch = () => new GateWatch(context, repository, () => clock);
    /** On the subscriber only, and that it came to differ is not known from a stream. */
    async function spoil(id: number): Promise<void> {
      await link.plant(`update sales.orders set document = 'planted' where id = ${id}`);
      await readers.catchUp(30_000);
    }
    const mend = (id: number) => onSource(`update sales.orders set document = 'mended' where id = ${id}`);

    it('a difference that was accepted is not looked for again', async () => {
      await spoil(11);
      request.verification.required = false;
      expect(await readers.verify(context)).toMatchObject({ verdict: 'different' });
      const watch = newWatch();
      await watch.look();
      await watch.look();
      expect(verifications).toBe(2);
      await mend(11);
      request.verification.required = true;
      expect(await readers.verify(context)).toMatchObject({ verdict: 'equal' });
    });

    it('WAL that a long transaction keeps is no reason to verify', async () => {
      const long = await Session.open(link.publisher.target(DATABASE), { purpose: 'test' });
      try {
        await long.execute(`begin; update sales.orders set customer = 1 where id = 12`);
        for (let n = 0; n < 3; n++) {
          await onSource(`select pg_logical_emit_message(false, 'x', repeat('x', 10000000))`);
          await touch('13');
          await readers.advance(context.signal);
        }
        // Says at once what was confirmed.
        await readers.close();
        expect(await readers.walSinceVerified()).toBeLessThan(5_000_000);
        const { kept } = await sessions.source.row<{ kept: string }>(
          `select pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::text as kept
             from pg_replication_slots where slot_name = 'lockstep_v_up_readers'`,
        );
        expect(Number(kept)).toBeGreaterThan(20_000_000);
      } finally {
        await long.close();
      }
    });

    it('verifies less and less often what stays different, at once when something changes, and clears its own problem only', async () => {
      const refusal = { code: 'CONFLICT', detail: 'sessions did not end' };
      gate.problem = refusal;
      await spoil(14);
      const watch = newWatch();
      const times: number[] = [];
      for (clock = 0; clock <= 8 * 60_000; clock += 30_000) {
        const before = verifications;
        await watch.look();
        if (verifications > before) times.push(clock / 60_000);
      }
      expect(times).toEqual([0, 1, 3, 7]);
      expect(gate.problem).toMatchObject({ detail: expect.stringContaining('sales.orders different') });
      await link.plant(`update sales.orders set document = document where id = 15`);
      await mend(14);
      await readers.catchUp(30_000);
      await watch.look();
      expect(readers.needsVerification).toBe(false);
      expect(gate.problem).toBe(refusal);
      expect(facts.watchProblem).toBeUndefined();
    }, 60_000);

    it.each(['approval', 'abort'])('an %s ends a verification that is running', async (how) => {
      await spoil(16);
      await mend(16);
      progressed = async () => {
        if (how === 'abort') gate.abortRequestedAt = new Date();
        else gate.awaiting = null;
        const before = looks;
        await eventually(async () => looks > before, { within: 10_000 });
      };
      await newWatch().look();
      expect(abandoned).toEqual(['it was interrupted']);
      expect(gate.problem).toBeNull();
      expect(readers.needsVerification).toBe(true);
      progressed = async () => {};
      await readers.verify(context);
    });
  });
});
