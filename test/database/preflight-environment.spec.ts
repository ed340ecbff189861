import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { appendFileSync } from 'node:fs';
import pg from 'pg';
import type { ConnectionTarget } from '../../src/postgres/connection.js';
import type { Session } from '../../src/postgres/session.js';
import type { PreflightResult } from '../../src/upgrades/preflight/check.js';
import { runPreflight } from '../../src/upgrades/preflight/preflight.service.js';
import { eventually } from '../support/eventually.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const SOURCES = [13, 14, 16, 17].filter((major) => AVAILABLE_MAJORS.includes(major));

type Results = Map<string, PreflightResult>;

async function run(source: ConnectionTarget, target: ConnectionTarget, only?: string): Promise<Results> {
  const narrowed = only === undefined ? {} : { only: (check: string) => check === only };
  const results = await runPreflight({ source, target, options: {}, ...narrowed });
  return new Map(results.map((result) => [result.check, result]));
}

/** A server whose clock_timestamp() is off, as sessions of this database see it: the function is built in, so it is replaced. */
async function shiftClock(server: TestServer, database: string, by: string): Promise<void> {
  await server.withSession(database, async (session) => {
    await session.execute('set allow_system_table_mods = on');
    await session.execute('alter function pg_catalog.clock_timestamp() rename to true_clock_timestamp');
    await session.execute(`create function pg_catalog.clock_timestamp() returns timestamptz language sql volatile
      as $$select pg_catalog.true_clock_timestamp() + interval '${by}'$$`);
  });
}

describe.each(SOURCES)('preflight of what surrounds the database, %i to 18', (major) => {
  let source: TestServer;
  let target: TestServer;
  let sound: Results;
  let faulty: Results;
  const open: Session[] = [];

  const asked = (from = 'shop', to = 'shop') => run(source.target(from), target.target(to));
  const askedFor = async (check: string) =>
    (await run(source.target('shop'), target.target('shop'), check)).get(check)!;

  beforeAll(async () => {
    [source, target] = await Promise.all([
      TestServer.start(major, { shared_preload_libraries: 'pg_stat_statements', enable_hashjoin: 'off' }),
      TestServer.start(18, { shared_preload_libraries: 'pg_stat_statements', enable_hashjoin: 'off' }),
    ]);
    for (const server of [source, target]) await server.freshDatabase('shop');
    await source.run('shop', 'create table orders (id int primary key, note text)');
    sound = await asked();
    await setFaults();
    faulty = await asked();
  });

  async function setFaults(): Promise<void> {
    await source.run(
      'shop',
      `create role chief superuser login; create publication for_others for table orders;
       create foreign data wrapper postgres_fdw; create foreign data wrapper files;
       create server myself foreign data wrapper postgres_fdw options (host 'localhost', port '${source.port}');
       create server unnamed foreign data wrapper files;
       create server elsewhere foreign data wrapper postgres_fdw options (host 'localhost', port '1');
       alter database shop set myapp.tenant to 'x'; alter role chief set work_mem to '8MB'`,
    );
    if (major < 16) await source.run('shop', 'alter role chief set force_parallel_mode to off');
    for (const sql of [
      'create database closed with allow_connections false',
      `alter system set shared_preload_libraries to 'pg_stat_statements', 'auto_explain'`,
      `alter system set enable_mergejoin to off`,
      `alter system set max_slot_wal_keep_size to '64MB'`,
    ]) {
      await source.withSession('postgres', (session) => session.execute(sql));
    }
    await source.restart();
    // After the restart, which would fail.
    for (const server of [source, target]) {
      const file = await server.withSession('postgres', (s) => s.row<{ hba_file: string }>('show hba_file'));
      appendFileSync(file.hba_file, '\nhost all all 127.0.0.1/32 scram-sha-256 hidden-password\n');
    }
    await target.run('postgres', 'alter database shop connection limit 5');
    await source.withSession('postgres', async (session) => {
      await session.execute('set allow_system_table_mods = on');
      await session.execute(
        `update pg_database set datfrozenxid = ((txid_current() + 4294967296 - 1500000000) % 4294967296)::text::xid
          where datname = 'template1'`,
      );
    });
    const sessions: [TestServer, string, string][] = [
      [source, 'shop', 'begin; alter table public.orders add column late int'],
      [source, 'shop', 'select pg_catalog.pg_advisory_lock(7)'],
      [source, 'shop', 'listen orders_changed'],
      [target, 'postgres', 'begin; select pg_catalog.txid_current()'],
    ];
    for (const [server, database, sql] of sessions) {
      const session = await server.open(database);
      open.push(session);
      await session.execute(`set application_name = 'shop web'`);
      await session.execute(sql);
    }
    await target.withSession('postgres', (session) =>
      session.execute(`begin; select pg_catalog.txid_current(); prepare transaction 'forgotten'`),
    );
    await eventually(
      () =>
        target.withSession(
          'postgres',
          async (session) =>
            (
              await session.rows(
                `select from pg_stat_activity where backend_xid is not null and xact_start < clock_timestamp() - interval '5.2 s'`,
              )
            ).length > 0,
        ),
      { within: 15_000 },
    );
  }

  afterAll(async () => {
    for (const session of open) await session.close();
    await Promise.all([source, target].map((server) => server?.stop()));
  });

  it.each<[string, PreflightResult['severity'], RegExp]>([
    ['source-hba-errors', 'warning', /^1 faulty lines: .*line \d+: authentication option not in name=value format$/],
    ['target-hba-errors', 'warning', /^1 faulty lines: .*pg_hba\.conf line \d+: authentication option/],
    ['target-long-transactions', 'warning', /^1 old writing transactions: pid \d+ of postgres$/],
    ['target-prepared-transactions', 'blocker', /^1 prepared transactions: 'forgotten' of postgres$/],
    ['ddl-in-flight', 'warning', /^1 locks of schema changes: pid \d+ of postgres on public\.orders$/],
    ['session-state', 'info', /^2 sessions with advisory locks or LISTEN: pid \d+ of postgres, pid \d+ of postgres$/],
    ['superusers-beyond-the-fence', 'info', /^1 superusers: chief$/],
    ['publications-not-moved', 'warning', /^1 publications of others: for_others$/],
    ['foreign-servers-at-source', 'warning', /^1 foreign servers: myself$/],
    ['preloaded-libraries', 'warning', /^not loaded by the target: auto_explain$/],
    ['settings-differing', 'info', /^enable_mergejoin: off on the source, on on the target$/],
    ['wraparound-head-room', 'warning', /^1 databases: template1$/],
    ['closed-databases', 'info', /^1 databases nobody can connect to: closed$/],
    ['database-connection-limit', 'warning', /^unlimited on the source, 5 on the target$/],
  ])('%s passes on sound servers and names what is wrong with others', (check, severity, observed) => {
    expect(sound.get(check)).toMatchObject({ check, passed: true, remedy: null, sql: expect.stringMatching(/select/) });
    expect(faulty.get(check)).toMatchObject({
      check,
      passed: false,
      severity,
      observed: expect.stringMatching(observed),
      remedy: expect.stringMatching(/\w/),
      sql: expect.stringMatching(/select/),
    });
  });

  it('names stored settings that 18 does not know, and none that it does', () => {
    expect(sound.get('settings-unknown-to-target')!.passed).toBe(true);
    const { passed, observed } = faulty.get('settings-unknown-to-target')!;
    expect([passed, observed]).toEqual(
      major < 16 ? [false, '1 settings: force_parallel_mode of role chief'] : [true, 'none'],
    );
  });

  it('shows no text of a faulty line of pg_hba.conf', () => {
    expect(JSON.stringify([...faulty.values()])).not.toContain('hidden-password');
  });

  it('is right that a slot waits for a prepared transaction in another database', async () => {
    await target.withSession('shop', async (session) => {
      await session.execute(`set statement_timeout = '1s'`);
      await expect(
        session.execute(`select pg_catalog.pg_create_logical_replication_slot('waits', 'pgoutput')`),
      ).rejects.toThrow(/timeout/);
    });
  });

  it('names the known faults of the releases that run, on both sides', async () => {
    const { version } = await source.withSession('shop', (session) =>
      session.row<{ version: string }>(`select pg_catalog.current_setting('server_version') as version`),
    );
    const check = sound.get('source-minor-release')!;
    // The releases under test are older than the fix of CVE-2026-6471, which 13 never had.
    const known = major === 13 ? 'lost-changes-beside-ddl' : 'cve-2026-6471';
    expect(check).toMatchObject({ passed: false, severity: 'warning', observed: `${version}: ${known}` });
    expect(check.remedy).toMatch(major === 13 ? /No release of this major has the fix/ : /Fixed in \d+\.\d+/);
    expect(sound.get('target-minor-release')).toMatchObject({ passed: false, severity: 'warning' });
  });

  it('measures the WAL rate, and how long a slot may stand still', async () => {
    expect(sound.get('source-wal-rate')).toMatchObject({
      passed: true,
      observed: expect.stringMatching(
        /^\d+ (kB|MB)\/s of WAL in a sample of 1\.\d s; \d+ MB of WAL on its disk now; max_slot_wal_keep_size is unlimited/,
      ),
    });
    // Nothing is written while the locks of the fault are held: a moment that says nothing.
    const idle = await eventually(
      async () => {
        const result = await askedFor('source-wal-rate');
        return result.observed.startsWith('0 kB/s') ? result : null;
      },
      { within: 60_000 },
    );
    expect(idle).toMatchObject({ passed: false, severity: 'warning' });
    expect(idle.observed).toContain('cannot be told from a moment without writes');

    const writer = await source.open('shop');
    open.push(writer);
    let writing = true;
    const writes = (async () => {
      while (writing) {
        await writer.execute(
          `select pg_catalog.pg_logical_emit_message(false, 'load', pg_catalog.repeat('x', 100000))`,
        );
      }
    })();
    const busy = await askedFor('source-wal-rate');
    writing = false;
    await writes;
    expect(busy).toMatchObject({ passed: false, severity: 'warning' });
    expect(busy.observed).toMatch(
      /^\d+ (kB|MB)\/s .*max_slot_wal_keep_size keeps 64 MB: at this rate a slot that stands still is lost after about \d+ (s|min)$/,
    );
  });

  it('says what it may not ask instead of passing it', async () => {
    for (const server of [source, target]) {
      await server.run(
        'shop',
        `create role plain login password 'plain-secret'; grant select on pg_catalog.pg_hba_file_rules to plain`,
      );
    }
    const plain = (server: TestServer) => ({ ...server.target('shop'), user: 'plain', password: 'plain-secret' });
    const results = await run(plain(source), plain(target));
    for (const check of ['source-hba-errors', 'target-hba-errors']) {
      expect(results.get(check)).toMatchObject({
        passed: false,
        severity: 'warning',
        observed: expect.stringMatching(/^could not be determined: .*may not read pg_hba_file_rules/),
        remedy: expect.stringContaining('grant select on pg_catalog.pg_hba_file_rules'),
      });
    }
    for (const check of ['ddl-in-flight', 'session-state', 'source-standbys', 'target-long-transactions']) {
      expect(results.get(check)).toMatchObject({ passed: false, remedy: 'grant pg_read_all_stats to "plain";' });
    }
    expect(results.get('preloaded-libraries')).toMatchObject({
      passed: false,
      observed: expect.stringMatching(/^could not be determined/),
    });
    expect(results.get('source-wal-rate')!.observed).toContain('may not be asked (pg_monitor)');
    expect(results.get('settings-unknown-to-target')).toMatchObject(
      major < 16
        ? { passed: false, observed: expect.stringMatching(/^could not be determined: .*force_parallel_mode/) }
        : { passed: true },
    );
    await source.run('shop', 'grant execute on function pg_catalog.pg_hba_file_rules() to plain');
    const granted = await run(plain(source), plain(target));
    expect(granted.get('source-hba-errors')!.observed).toMatch(/^1 faulty lines/);
  });

  it('counts standbys, and no reader of a logical slot', async () => {
    expect(sound.get('source-standbys')!.passed).toBe(true);
    const standby = new pg.Client({
      ...{ host: source.host, port: source.port, user: source.user, password: source.password },
      application_name: 'standby_b',
      replication: 'true',
    } as pg.ClientConfig);
    standby.on('error', () => {});
    await standby.connect();
    const { rows } = await standby.query<{ xlogpos: string }>('IDENTIFY_SYSTEM');
    standby.query(`START_REPLICATION PHYSICAL ${rows[0]!.xlogpos}`).catch(() => {});
    const seen = await eventually(
      async () => {
        const result = await askedFor('source-standbys');
        return result.passed ? null : result;
      },
      { within: 60_000 },
    );
    expect(seen).toMatchObject({ severity: 'info', observed: '1 standbys: standby_b at 127.0.0.1' });
    (standby as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  });

  it('tells which clock is wrong, by how much', async () => {
    for (const check of ['source-clock-skew', 'target-clock-skew', 'clock-skew-between-servers']) {
      expect(sound.get(check)).toMatchObject({
        passed: true,
        observed: expect.stringMatching(/\d+ ms (ahead of|behind) /),
      });
    }
    await source.freshDatabase('late');
    await target.freshDatabase('early');
    await shiftClock(source, 'late', '-5 s');
    const one = await asked('late');
    expect(one.get('source-clock-skew')).toMatchObject({
      passed: false,
      severity: 'warning',
      observed: expect.stringMatching(
        /^the clock of the source is (49\d\d|50\d\d) ms behind Lockstep's \(round trip \d+\.\d ms\)$/,
      ),
    });
    expect(one.get('target-clock-skew')!.passed).toBe(true);
    expect(one.get('clock-skew-between-servers')!.passed).toBe(false);

    await shiftClock(target, 'early', '800 ms');
    await shiftClock(source, 'shop', '-800 ms');
    const both = await asked('shop', 'early');
    expect(both.get('source-clock-skew')!.passed).toBe(true);
    expect(both.get('target-clock-skew')!.passed).toBe(true);
    expect(both.get('clock-skew-between-servers')).toMatchObject({
      passed: false,
      observed: expect.stringMatching(/^the clock of the target is (15\d\d|16\d\d) ms ahead of the source's/),
    });
  });
});
