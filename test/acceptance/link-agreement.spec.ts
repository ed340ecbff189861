import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AGREEMENT_STATES, type AgreementCheck, CHECKS } from '../../src/links/agreement/check.js';
import { identifier, literal } from '../../src/postgres/quoting.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { TestServer } from '../support/postgres-fleet.js';
import { LinkEnds, SUBSCRIPTION } from './link-ends.js';

const sub = identifier(SUBSCRIPTION);
const PUBLICATION = 'Pub "ü"';
const pub = identifier(PUBLICATION);
const TABLES = 'create table orders (id int primary key, note text); create table lines (id int primary key)';

type Checks = Record<string, AgreementCheck>;

describe.each([
  [14, 18],
  [18, 14],
  [17, 15],
] as const)('agreement of both ends of a link, %i -> %i', (from, to) => {
  const database = `agreement_${from}_${to}`;
  const slot = `agreement_${from}_${to}`;
  const low = `agreement_low_${from}_${to}`;
  let ends: LinkEnds;
  let network: Network;
  let elsewhere: TestServer;

  beforeAll(async () => {
    // The service reaches the publisher by another address than the subscription does.
    ends = await LinkEnds.start(database, [from, to], TABLES, {
      publisherPort: async ({ port }) => {
        network = await Network.to(port);
        return network.port;
      },
    });
    elsewhere = await TestServer.shared(16);
    await ends.onPublisher(`create publication ${pub} for table orders, lines`);
    await ends.subscribe(slot, pub);
  }, 60_000);
  afterAll(async () => {
    await ends?.stop();
    await network?.cut();
    await elsewhere?.stop();
    await ends?.subscriber.run('postgres', `drop owned by ${low}; drop role ${low}`).catch(() => {});
  }, 60_000);

  const look = async (path = ends.path) => {
    const { status, body, text } = await ends.api.get(path);
    if (status !== 200) throw new Error(text);
    const agreement = body.agreement as AgreementCheck[];
    expect(agreement.map(({ check }) => check)).toEqual([...CHECKS]);
    const checks: Checks = Object.fromEntries(agreement.map((each) => [each.check, each]));
    return { body, checks };
  };
  const inState = (checks: Checks) =>
    Object.fromEntries(
      AGREEMENT_STATES.map((state) => [state, CHECKS.filter((check) => checks[check]!.state === state)]),
    ) as Record<AgreementCheck['state'], string[]>;
  const allAgree = () =>
    eventually(
      async () => {
        const { body, checks } = await look();
        const wrong = Object.values(checks).filter(({ state }) => state !== 'agrees');
        if (wrong.length > 0) throw new Error(JSON.stringify(wrong));
        return { body, checks };
      },
      { within: 20_000, every: 100 },
    );
  const until = (check: string, state: AgreementCheck['state']) =>
    eventually(
      async () => {
        const { checks } = await look();
        if (checks[check]!.state !== state) throw new Error(JSON.stringify(checks[check]));
        return checks;
      },
      { within: 20_000, every: 100 },
    );
  const disable = async () => {
    await ends.onSubscriber(`alter subscription ${sub} disable`);
    await eventually(
      () =>
        ends.publisher.withSession(database, async (session) => {
          const sql = `select 1 from pg_catalog.pg_replication_slots where slot_name = $1 and active`;
          return (await session.rows(sql, [slot])).length === 0;
        }),
      { within: 20_000 },
    );
  };
  const enable = () => ends.onSubscriber(`alter subscription ${sub} enable`);
  const createSlot = `select pg_create_logical_replication_slot('${slot}', 'pgoutput')`;
  const dropSlot = `select pg_drop_replication_slot('${slot}')`;

  it('is found where all is well, and the publisher by its identifier', async () => {
    const { body, checks } = await allAgree();
    expect(checks['connection-target']!.reason).toContain('under another address');
    expect(body).toMatchObject({
      publisher: { server: 'source', database, publications: [PUBLICATION], slot: { name: slot, active: true } },
    });
    expect(checks['slot-ours']!.reason).toContain('worker reads it');
    await ends.onPublisher(`insert into lines values (1000)`);
    const seen = await eventually(
      async () => {
        const { walsender, origin, applyWorker } = (await look()).body;
        return origin.remoteLsn !== null && { walsender, origin, applyWorker };
      },
      { within: 20_000, every: 100 },
    );
    const lsn = expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/);
    const pids = await ends.publisher.withSession(database, (session) =>
      session.row<{ pid: number }>('select active_pid as pid from pg_replication_slots where slot_name = $1', [slot]),
    );
    expect(seen).toEqual({
      walsender: {
        ...{ ...pids, state: 'streaming', application: expect.any(String), user: ends.publisher.user },
        ...{ clientAddress: '127.0.0.1', sentLsn: lsn, writeLsn: lsn, flushLsn: lsn, replayLsn: lsn, reason: null },
      },
      origin: { name: expect.stringMatching(/^pg_\d+$/), exists: true, remoteLsn: lsn, reason: null },
      applyWorker: {
        ...{ pid: expect.any(Number), startedAt: expect.any(String), receivedLsn: lsn, latestEndLsn: lsn },
        ...{ lastMessageAt: expect.any(String), reason: null },
      },
    });
  });

  it('fails where the address leads to another cluster than the one registered for it', async () => {
    const server = '/v1/servers/source';
    await elsewhere.freshDatabase(database);
    const { host, port } = elsewhere;
    const moved = { advertisedHost: host, advertisedPort: port, password: ends.publisher.password };
    expect((await ends.api.call('PATCH', server, moved)).status).toBe(200);
    await disable();
    const lost = ends.conninfo.replace(`port=${ends.publisher.port}`, `port=${port}`);
    await ends.onSubscriber(`alter subscription ${sub} connection ${literal(lost)}`);
    const { checks } = await look();
    expect(checks['connection-target']).toMatchObject({
      state: 'disagrees',
      reason: expect.stringContaining('was registered as one of'),
    });
    await ends.onSubscriber(`alter subscription ${sub} connection ${literal(ends.conninfo)}`);
    await ends.api.call('PATCH', server, { advertisedHost: null, advertisedPort: null });
    await enable();
    await allAgree();
  }, 60_000);

  it('is of the server at hostaddr, where libpq connects to, and not of the name beside it', async () => {
    const server = '/v1/servers/source';
    const { port, password } = ends.publisher;
    const named = { advertisedHost: 'source.example', advertisedPort: port, password };
    expect((await ends.api.call('PATCH', server, named)).status).toBe(200);
    await disable();
    const to = (address: string) =>
      ends.onSubscriber(
        `alter subscription ${sub} connection ${literal(
          ends.conninfo.replace(/^host=\S+ port=\d+/, `host=source.example hostaddr=${address} port=${port}`),
        )}`,
      );
    await to('127.0.0.1');
    const { checks } = await look();
    expect(checks['connection-target']).toMatchObject({
      state: 'agrees',
      reason: expect.stringContaining(`127.0.0.1:${port} is of the cluster`),
    });
    // The name is that of the registered server, and nobody is at the address.
    await to('127.0.0.2');
    expect((await look()).checks['connection-target']!.state).toBe('unknown');
    await ends.onSubscriber(`alter subscription ${sub} connection ${literal(ends.conninfo)}`);
    await ends.api.call('PATCH', server, { advertisedHost: null, advertisedPort: null });
    await enable();
    await allAgree();
  }, 60_000);

  it('is unknown where the login may not read the connection string; the GRANT named is what it takes', async () => {
    await ends.subscriber.run('postgres', `create role ${low} login password 'a password of its own'`);
    await ends.register('low', { ...ends.subscriber.target(), user: low, password: 'a password of its own' });
    const path = ends.path.replace('/sink/', '/low/');
    const { body, checks } = await look(path);
    expect(checks['connection-target']).toMatchObject({ state: 'unknown', remedy: expect.stringContaining('Grant') });
    expect(body).toMatchObject({
      walsender: { pid: null, reason: expect.any(String) },
      origin: { exists: true, remoteLsn: null, reason: expect.stringContaining('grant execute on function') },
    });
    expect(inState(checks).agrees).toEqual(['origin']);
    await ends.onSubscriber(checks['connection-target']!.sql!);
    await eventually(async () => (await look(path)).checks['connection-target']!.state === 'agrees', {
      within: 10_000,
    });
    await ends.api.call('DELETE', '/v1/servers/low');
    await ends.onSubscriber(`drop owned by ${low}`);
    await ends.subscriber.run('postgres', `drop role ${low}`);
  }, 60_000);

  it('fails for a slot that is gone, of another kind or plugin or database', async () => {
    await disable();
    const idle = await look();
    expect(idle.checks['slot-ours']).toMatchObject({ state: 'unknown', reason: expect.stringContaining('disabled') });
    expect(idle.body).toMatchObject({
      walsender: { pid: null, state: null, sentLsn: null, reason: 'nobody streams from the slot' },
      applyWorker: { pid: null, receivedLsn: null, reason: 'the subscription is disabled' },
    });
    await ends.onPublisher(dropSlot);
    const { checks } = await look();
    expect(inState(checks)).toMatchObject({
      disagrees: ['slot-exists'],
      unknown: ['slot-kind', 'slot-usable', 'slot-ours'],
    });
    const wrong: [string, string, string][] = [
      ['physical', database, `select pg_create_physical_replication_slot('${slot}')`],
      ['test_decoding', database, `select pg_create_logical_replication_slot('${slot}', 'test_decoding')`],
      ['"postgres"', 'postgres', createSlot],
    ];
    for (const [what, where, sql] of wrong) {
      const made = await ends.publisher.run(where, sql).then(
        () => true,
        () => false,
      );
      // The packages of the tests need not have the other plugin.
      if (!made) continue;
      const found = (await look()).checks;
      expect(found['slot-kind']).toMatchObject({ state: 'disagrees', reason: expect.stringContaining(what) });
      await ends.publisher.run(where, dropSlot);
    }
    await ends.onPublisher(createSlot);
    await enable();
    await allAgree();
  }, 60_000);

  it('fails where another reads from the slot', async () => {
    await disable();
    const other = `${database}_other`;
    await ends.subscriber.freshDatabase(other);
    await ends.subscriber.run(other, TABLES);
    await ends.subscriber.run(
      other,
      `create subscription thief connection '${ends.conninfo}' publication ${pub}
         with (create_slot = false, slot_name = ${slot}, copy_data = false)`,
    );
    const checks = await until('slot-ours', 'disagrees');
    expect(checks['slot-ours']!.reason).toContain('thief');
    await ends.subscriber.run(other, 'alter subscription thief disable');
    await ends.subscriber.run(other, 'alter subscription thief set (slot_name = none)');
    await ends.subscriber.run(other, 'drop subscription thief');
    await enable();
    await allAgree();
  }, 60_000);

  it('fails for publications and tables that are not on both sides', async () => {
    await ends.onPublisher(
      `create table late (id int primary key); alter publication ${pub} add table late; alter publication ${pub} drop table lines`,
    );
    const missing = (await look()).checks;
    expect(missing['tables-on-subscriber']).toMatchObject({
      state: 'disagrees',
      reason: expect.stringContaining('public.late'),
    });
    expect(missing['tables-published']).toMatchObject({
      state: 'disagrees',
      reason: expect.stringContaining('public.lines'),
    });
    await ends.onPublisher(`alter publication ${pub} rename to elsewhere`);
    const { checks } = await look();
    expect(checks['publications-exist']).toMatchObject({ state: 'disagrees', reason: expect.stringContaining('Pub') });
    expect(checks['tables-on-subscriber']!.state).toBe('unknown');
    await ends.onPublisher(
      `alter publication elsewhere rename to ${pub}; alter publication ${pub} drop table late; alter publication ${pub} add table lines`,
    );
    await allAgree();
  }, 60_000);

  it('fails for columns and replica identities', async () => {
    await ends.onSubscriber('alter table orders drop note; alter table lines drop constraint lines_pkey');
    const { checks } = await look();
    expect(inState(checks).disagrees).toEqual(['columns', 'replica-identity']);
    expect(checks.columns!.reason).toContain('"note"');
    await ends.onSubscriber('alter table orders add note text; alter table lines add primary key (id)');
    await ends.onPublisher('alter table lines replica identity nothing');
    const broken = (await look()).checks['replica-identity']!;
    expect(broken).toMatchObject({ state: 'disagrees', reason: expect.stringContaining('fail on the publisher') });
    await ends.onPublisher('alter table lines replica identity default');
    await allAgree();
  }, 60_000);

  it('is unknown where the publisher is away, never agreement', async () => {
    await network.cut();
    const { checks } = await eventually(
      async () => {
        const found = await look();
        if (found.checks['slot-exists']!.state !== 'unknown') throw new Error('still seen');
        return found;
      },
      { within: 20_000 },
    );
    // The address itself can be asked, and so can the subscriber.
    expect(inState(checks).agrees).toEqual(['connection-target', 'origin']);
    expect(checks['columns']!.reason).toContain('the publisher source did not tell');
    expect((await ends.api.get(`${ends.path}/drift`)).body).toMatchObject({
      state: 'unknown',
      findings: [],
      statements: [],
    });
    await network.restore();
    await allAgree();
  }, 60_000);

  it('fails for an origin that is gone, for good: its name is reserved', async () => {
    await disable();
    const { oid } = await ends.subscriber.withSession(database, (session) =>
      session.row<{ oid: string }>(
        `select s.oid::text from pg_catalog.pg_subscription s join pg_catalog.pg_database d on d.oid = s.subdbid
          where s.subname = $1 and d.datname = pg_catalog.current_database()`,
        [SUBSCRIPTION],
      ),
    );
    // The worker holds it until it has ended.
    await eventually(() => ends.onSubscriber(`select pg_replication_origin_drop('pg_${oid}')`).then(() => true), {
      within: 20_000,
    });
    expect(inState((await look()).checks).disagrees).toEqual(['origin']);
  }, 60_000);

  it('is asked of a link that there is', async () => {
    for (const path of [`/v1/links/sink/${database}/none`, `/v1/links/sink/${database}/none/drift`]) {
      expect((await ends.api.get(path)).status).toBe(404);
    }
  });
});
