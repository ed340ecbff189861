import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { identifier } from '../../src/postgres/quoting.js';
import { parseLsn } from '../../src/shared/lsn.js';
import { VerificationRepository } from '../../src/verification/verification.repository.js';
import { eventually } from '../support/eventually.js';
import { arrives, endPrepared, loggedLsns, prepare, preparedOnSubscriber } from './prepared-on-link.js';
import type { ApiUnderTest } from './security-app.js';
import { Fleet, Link, ODD } from './stuck-link.js';

let fleet: Fleet;
let api: ApiUnderTest;

beforeAll(async () => {
  fleet = await Fleet.start('stuck_prepared_before_state', { 17: {}, 18: {} }, [17, 18]);
  ({ api } = fleet);
}, 120_000);

afterAll(() => fleet?.stop());

async function removed(link: Link | undefined): Promise<void> {
  if (link) await endPrepared(link);
  await link?.drop();
}

/** Instead of the link's subscription and its slot, another slot. */
async function withSlot({ database, path, publisher }: Link, { twoPhase }: { twoPhase: boolean }): Promise<void> {
  expect((await api.call('DELETE', path)).status).toBe(200);
  await publisher.run(
    database,
    `select pg_create_logical_replication_slot('${database}', 'pgoutput', false, ${twoPhase})`,
  );
}

/** To what is there, by the slot of the database's name. */
async function subscribe(
  { database, publisher, subscriber }: Link,
  { twoPhase, from }: { twoPhase: boolean; from?: string },
): Promise<void> {
  const { host, port, user, password } = publisher;
  const name = identifier(ODD);
  await subscriber.withSession(database, async (session) => {
    await session.execute(
      `create subscription ${name} connection 'host=${host} port=${port} user=${user} password=${password} dbname=${database}'
       publication "both"
       with (create_slot = false, slot_name = '${database}', copy_data = false, enabled = false, two_phase = ${twoPhase})`,
    );
    const { oid } = await session.row<{ oid: number }>(
      'select oid from pg_subscription where subdbid = (select oid from pg_database where datname = current_database())',
    );
    if (from !== undefined) await session.execute(`select pg_replication_origin_advance('pg_${oid}', '${from}')`);
    await session.execute(`alter subscription ${name} enable`);
  });
}

describe('what was prepared before the slot had two_phase, 18 -> 17', () => {
  let link: Link;

  beforeAll(async () => {
    link = await Link.create(fleet, 18, 17);
    await withSlot(link, { twoPhase: false });
  }, 120_000);
  afterAll(() => removed(link));

  it('is told by its PREPARE, which no SKIP can name, once its COMMIT PREPARED brings it', async () => {
    const { database, publisher, subscriber } = link;
    const xid = await prepare(link, 'early', `insert into orders values (300, 1, 'x')`);
    const { past } = await publisher.withSession(database, (session) =>
      session.row<{ past: string }>('select pg_current_wal_insert_lsn()::text as past'),
    );
    await subscribe(link, { twoPhase: true, from: past });
    await eventually(async () => (await api.get(link.path)).body.twoPhaseState === 'enabled', { within: 20_000 });
    await subscriber.run(database, `insert into orders values (300, 0, 'in the way')`);
    await publisher.run(database, `commit prepared 'early'`);
    await publisher.run(database, `insert into orders values (301, 1, 'behind it')`);
    await link.until('failing');
    const { transaction, position, remedies } = await link.diagnose();
    expect(transaction).toMatchObject({ kind: 'prepare', gid: 'early', xid, changeCount: 1 });
    expect(await loggedLsns(link, xid)).toEqual([transaction.finishLsn]);
    expect(parseLsn(transaction.finishLsn)).toBeLessThan(parseLsn(position));
    const refused = await api.post(`${link.path}/skip`, { lsn: transaction.finishLsn });
    expect(refused).toMatchObject({ status: 409, body: { rule: 'skip-forward' } });
    const [disable, advance, enable] = remedies[1].sql as [string, string, string];
    expect(advance).toContain(transaction.endLsn);
    await subscriber.withSession(database, async (session) => {
      await session.execute(disable);
      const working = 'select from pg_stat_subscription where pid is not null';
      await eventually(async () => (await session.rows(working)).length === 0, { within: 10_000 });
      await session.execute(advance);
      await session.execute(enable);
    });
    await arrives(link, 301);
    await link.until('streaming');
  });
});

describe('a slot with two_phase whose subscription says nothing of it, 17 -> 18', () => {
  let link: Link;

  beforeAll(async () => {
    link = await Link.create(fleet, 17, 18);
    await withSlot(link, { twoPhase: true });
    await subscribe(link, { twoPhase: false });
    await publishAndArrive(link, 299);
  }, 120_000);
  afterAll(() => removed(link));

  it('sends what is prepared all the same, and the PREPARE is told, which is skipped', async () => {
    await link.subscriber.run(link.database, `insert into orders values (300, 0, 'in the way')`);
    const xid = await prepare(link, 'unsaid', `insert into orders values (300, 1, 'x')`);
    await link.publisher.run(link.database, `insert into orders values (301, 1, 'behind it')`);
    await link.until('failing');
    const { transaction } = await link.diagnose();
    expect(transaction).toMatchObject({ kind: 'prepare', gid: 'unsaid', xid });
    expect(await loggedLsns(link, xid)).toEqual([transaction.finishLsn]);
    expect((await api.post(`${link.path}/skip`, { lsn: transaction.finishLsn })).status).toBe(200);
    await arrives(link, 301);
    await link.publisher.run(link.database, `commit prepared 'unsaid'`);
    await publishAndArrive(link, 302);
  });
});

async function publishAndArrive(link: Link, id: number): Promise<void> {
  await link.publisher.run(link.database, `insert into orders values (${id}, 1, 'x')`);
  await arrives(link, id);
}

describe('a table that lost a PREPARE, 17 -> 18', () => {
  let link: Link;

  beforeAll(async () => {
    link = await Link.create(fleet, 17, 18, { twoPhase: true });
    await eventually(async () => (await api.get(link.path)).body.twoPhaseState === 'enabled', { within: 20_000 });
  }, 120_000);
  afterAll(() => removed(link));

  it('keeps its mark in a verification that began before and cannot see what the COMMIT PREPARED will bring', async () => {
    const { database, publisher, subscriber } = link;
    // Held once its slots are there: none is made while something is prepared.
    const repository = api.app.get(VerificationRepository);
    const setProgress = repository.setProgress.bind(repository);
    const opened = new Promise<() => void>((resolve) => {
      repository.setProgress = async (...progress) => {
        repository.setProgress = setProgress;
        await new Promise<void>((release) => resolve(release));
        return setProgress(...progress);
      };
    });
    const begun = link.verify();
    const release = await opened;
    await subscriber.run(database, `insert into orders values (300, 0, 'in the way')`);
    await prepare(link, 'lost', `insert into orders values (300, 1, 'x')`);
    await publisher.run(database, `insert into orders values (301, 1, 'behind it')`);
    await link.until('failing');
    const { finishLsn } = (await link.diagnose()).transaction;
    expect((await api.post(`${link.path}/skip`, { lsn: finishLsn })).status).toBe(200);
    await arrives(link, 301);
    await subscriber.run(database, 'delete from orders where id = 300');
    release();
    const equal = await begun;
    expect(equal).toMatchObject({ state: 'succeeded', verdict: 'equal' });
    expect(parseLsn(equal.verifiedLsn)).toBeGreaterThan(parseLsn(finishLsn));
    const marked = [
      [ODD, null],
      ['orders', finishLsn],
    ];
    expect(await link.needs()).toEqual(marked);
    await publisher.run(database, `commit prepared 'lost'`);
    await eventually(async () => (await preparedOnSubscriber(link)).length === 0, { within: 20_000 });
    expect(await link.verify()).toMatchObject({ state: 'succeeded', verdict: 'different' });
    expect(await link.needs()).toEqual(marked);
    await subscriber.run(database, `insert into orders values (300, 1, 'x')`);
    expect(await link.verify()).toMatchObject({ state: 'succeeded', verdict: 'equal' });
    expect(await link.needs()).toEqual([
      [ODD, null],
      ['orders', null],
    ]);
  }, 120_000);
});
