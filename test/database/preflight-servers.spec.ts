import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { PreflightResult } from '../../src/upgrades/preflight/check.js';
import type { PreflightOptions } from '../../src/upgrades/preflight/options.js';
import { runPreflight } from '../../src/upgrades/preflight/preflight.service.js';
import type { ConnectionTarget } from '../../src/postgres/connection.js';
import { TestServer } from '../support/postgres-fleet.js';

const SMALL = {
  wal_level: 'replica',
  max_replication_slots: '1',
  max_wal_senders: '1',
  max_logical_replication_workers: '1',
  max_worker_processes: '1',
  max_connections: '12',
  max_prepared_transactions: '0',
  max_locks_per_transaction: '10',
};

async function run(source: ConnectionTarget, target: ConnectionTarget, options: PreflightOptions = {}) {
  const results = await runPreflight({ source, target, options, only: (check) => check !== 'source-wal-rate' });
  return new Map<string, PreflightResult>(results.map((result) => [result.check, result]));
}

describe('preflight of servers and logins', () => {
  let sound: TestServer;
  let target: TestServer;
  let smallSource: TestServer;
  let smallTarget: TestServer;

  beforeAll(async () => {
    [sound, target, smallSource, smallTarget] = await Promise.all([
      TestServer.start(14),
      TestServer.start(18),
      TestServer.start(14, SMALL),
      TestServer.start(18, SMALL),
    ]);
    for (const server of [sound, target, smallSource, smallTarget]) await server.freshDatabase('shop');
    await sound.run(
      'shop',
      `create role app login password 'app-secret'; create role copier login replication password 'copier-secret';
       create table orders (id serial primary key, note text); create table hidden (id int primary key);
       alter table hidden enable row level security; grant select on hidden, orders to copier, app;
       grant insert on orders to app`,
    );
  });

  afterAll(async () => {
    await Promise.all([sound, target, smallSource, smallTarget].map((server) => server?.stop()));
  });

  it('measures the room for slots, walsenders, origins, workers and locks on both sides', async () => {
    await smallSource.run('shop', 'create table a (id int primary key); create table b (id int primary key)');
    await smallSource.run(
      'shop',
      `do $$ begin for n in 1 .. 110 loop execute 'create table t' || n || ' (id int primary key)'; end loop; end $$`,
    );
    const results = await run(smallSource.target('shop'), smallTarget.target('shop'));
    const expected: [string, RegExp][] = [
      ['source-wal-level', /^replica$/],
      ['target-wal-level', /^replica$/],
      ['source-replication-slots', /^1 free \(max_replication_slots = 1, 0 in use\)$/],
      ['source-walsenders', /^1 free/],
      ['target-replication-slots', /^1 free/],
      ['target-walsenders', /^1 free/],
      ['target-logical-workers', /^1 free/],
      ['target-worker-processes', /^0 free \(max_worker_processes = 1, 1 in use\)$/],
      ['source-worker-processes', /^0 free/],
      ['source-lock-table-room', /^room for 120 locks, \d+ relations/],
      ['target-lock-table-room', /^room for 120 locks/],
    ];
    for (const [check, observed] of expected) {
      expect(results.get(check)).toMatchObject({
        check,
        passed: false,
        severity: 'blocker',
        observed: expect.stringMatching(observed),
        remedy: expect.stringMatching(/restart/),
      });
    }
    expect(results.get('source-replication-slots')!.expected).toContain('at least 4 free');
    const snapshot = await run(sound.target('shop'), smallTarget.target('shop'), { copyMethod: 'snapshot' });
    expect(snapshot.get('source-replication-slots')!.expected).toContain('at least 2 free');
    expect(snapshot.get('connection-ceiling')!.observed).toContain(
      'max_connections 100 on the source, 12 on the target',
    );
  });

  it('refuses an older target, one server for both, and says when one cannot be reached', async () => {
    const older = await run(target.target('shop'), sound.target('shop'));
    expect(older.get('versions')).toMatchObject({ passed: false, severity: 'blocker' });
    const one = await run(sound.target('shop'), sound.target('postgres'));
    expect(one.get('two-servers')).toMatchObject({ passed: false, severity: 'blocker' });
    const nowhere = await run({ ...sound.target('shop'), port: 1 }, target.target('none'));
    expect([...nowhere.values()].map(({ check, passed }) => [check, passed])).toEqual([
      ['source-reachable', false],
      ['target-reachable', false],
    ]);
    await expect(
      runPreflight({
        source: sound.target('shop'),
        target: target.target('shop'),
        options: {},
        signal: AbortSignal.abort(),
      }),
    ).rejects.toThrow();
  });

  it('names each privilege that is missing, and passes nothing it could not ask', async () => {
    const results = await run({ ...sound.target('shop'), user: 'app', password: 'app-secret' }, target.target('shop'), {
      sourceAddress: { host: '127.0.0.1', port: sound.port, user: 'copier' },
    });
    expect(results.get('source-login-privileges')!.observed).toBe(
      'app lacks: REPLICATION (for slots), CREATE on the database (for schema lockstep, publication and subscription), ' +
        'superuser (up to 15 only a superuser creates subscriptions), ' +
        'EXECUTE on pg_replication_origin_progress(text, boolean) (for the drain)',
    );
    expect(results.get('source-connection-user')!.passed).toBe(true);
    expect(results.get('table-ownership')!.observed).toContain(
      '2 tables of other owners: public.hidden, public.orders',
    );
    expect(results.get('tables-readable')!.passed).toBe(true);
    expect(results.get('tables-readable-by-login')!.passed).toBe(true);
    expect(results.get('sequences-readable')!.observed).toContain('public.orders_id_seq');
    expect(results.get('row-security')!.observed).toContain('public.hidden');
    expect(results.get('row-security-for-login')!.observed).toContain('public.hidden');
    for (const check of ['long-transactions', 'source-walsenders', 'sessions-beyond-the-fence']) {
      expect(results.get(check)).toMatchObject({
        passed: false,
        observed: expect.stringMatching(/^could not be determined: .*may not see/),
        remedy: 'grant pg_read_all_stats to "app";',
      });
    }
    expect(results.get('md5-verifiers')).toMatchObject({
      passed: false,
      observed: expect.stringMatching(/^could not be determined: .*permission denied/),
    });
    await sound.run('shop', `create role other login; grant insert on orders to other`);
    const unfenceable = await run(
      { ...sound.target('shop'), user: 'app', password: 'app-secret' },
      target.target('shop'),
    );
    expect(unfenceable.get('fence-privileges')!.observed).toBe(
      'app lacks: may not alter other; pg_signal_backend; pg_read_all_stats',
    );
    expect(unfenceable.get('password-verifiers')!.observed).toContain('needed for app, copier, other');
    const given = await run({ ...sound.target('shop'), user: 'app', password: 'app-secret' }, target.target('shop'), {
      passwordsGiven: ['app', 'copier', 'other'],
    });
    expect(given.get('password-verifiers')!.passed).toBe(true);
    await sound.run('shop', `drop owned by other; drop role other`);
    const asSuperuser = await run(sound.target('shop'), target.target('shop'));
    for (const check of [
      'source-login-privileges',
      'table-ownership',
      'sequences-readable',
      'row-security',
      'fence-privileges',
    ]) {
      expect([check, asSuperuser.get(check)!.passed]).toEqual([check, true]);
    }
  });

  it('compares encodings, locales, extensions and what lies outside the database', async () => {
    await sound.withSession('postgres', async (session) => {
      await session.execute(`create database latin template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'`);
      await session.execute(
        `create database ascii template template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'`,
      );
    });
    await target.withSession('postgres', (session) =>
      session.execute(`create database builtin template template0 locale_provider builtin builtin_locale 'C.UTF-8'`),
    );
    await sound.run(
      'latin',
      `create extension adminpack; create extension pg_trgm;
       create table of_extension (id int primary key); alter extension pg_trgm add table of_extension;
       create table refers (id int primary key references of_extension);
       create function distance() returns real language c as '$libdir/pg_trgm', 'show_limit';
       create language plpythonu handler plpgsql_call_handler;
       set allow_system_table_mods = on;
       update pg_extension set extconfig = array['of_extension'::regclass::oid] where extname = 'pg_trgm';
       update pg_collation set collversion = 'old' where collname = 'C'`,
    );
    await target.run('postgres', `alter role postgres set transaction_timeout to '1min'`);
    const results = await run(sound.target('latin'), target.target('builtin'));
    const observed: [string, string, RegExp][] = [
      ['encoding', 'warning', /^LATIN1 to UTF8$/],
      ['locale', 'warning', /^C \/ C on the source, builtin C\.UTF-8 on the target$/],
      ['source-collation-versions', 'warning', /"C"/],
      ['extensions-available', 'blocker', /^not available: adminpack$/],
      ['extension-configuration', 'warning', /of_extension/],
      ['foreign-keys-to-unpublished', 'warning', /refers/],
      ['c-functions', 'warning', /distance\(\)/],
      ['python-2', 'blocker', /plpythonu/],
      ['target-replication-timeouts', 'warning', /^transaction_timeout = 1min for postgres$/],
    ];
    for (const [check, severity, text] of observed) {
      expect(results.get(check)).toMatchObject({
        check,
        passed: false,
        severity,
        observed: expect.stringMatching(text),
      });
    }
    expect(results.get('target-collation-versions')!.passed).toBe(true);
    expect((await run(sound.target('ascii'), target.target('builtin'))).get('encoding')!.severity).toBe('blocker');
    await target.run('postgres', 'alter role postgres reset transaction_timeout');
  });

  it('blocks a generated column under REPLICA IDENTITY FULL, whose updates an 18 publisher refuses', async () => {
    const schema =
      'create table halves (a int, b int generated always as (a / 2) stored); alter table halves replica identity full';
    await sound.freshDatabase('gen');
    await sound.run('gen', schema);
    const results = await run(sound.target('gen'), target.target('shop'));
    expect(results.get('generated-columns-in-identity')).toMatchObject({ passed: false, severity: 'blocker' });
    await target.freshDatabase('gen');
    await target.run('gen', `${schema}; insert into halves values (1); create publication back for table halves`);
    await expect(target.run('gen', 'update halves set a = 2')).rejects.toThrow(/cannot update table/);
    const older = await run(sound.target('gen'), smallSource.target('shop'));
    expect(older.get('generated-columns-in-identity')!.passed).toBe(true);
  });

  it('sees tablespaces and slots that lost their WAL', async () => {
    await target.withSession('postgres', async (session) => {
      await session.execute('set allow_in_place_tablespaces = on');
      await session.execute(`create tablespace fast location ''`);
      await session.execute(`alter system set max_slot_wal_keep_size to '1MB'`);
      await session.execute('select pg_catalog.pg_reload_conf()');
      await session.execute(`select pg_catalog.pg_create_physical_replication_slot('lagging', true)`);
    });
    await target.run('shop', 'create table quick (id int primary key) tablespace fast');
    for (let round = 0; round < 4; round++) {
      await target
        .run('shop', `insert into quick values (${round}); select pg_switch_wal(); checkpoint`)
        .catch(() => {});
      await target.run('shop', 'select pg_switch_wal()');
      await target.run('shop', 'checkpoint');
    }
    const results = await run(target.target('shop'), target.target('postgres'));
    expect(results.get('tablespaces')!.observed).toContain('fast');
    expect(results.get('slots-losing-wal')!.observed).toContain('lagging');
    expect(results.get('source-max-slot-wal-keep-size')!.passed).toBe(false);
  });
});
