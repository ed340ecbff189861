import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Session } from '../../src/postgres/session.js';
import { runPreflight } from '../../src/upgrades/preflight/preflight.service.js';
import type { PreflightResult } from '../../src/upgrades/preflight/check.js';
import type { PreflightOptions } from '../../src/upgrades/preflight/options.js';
import { eventually } from '../support/eventually.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const CLEAN_SCHEMA = `
  create schema sales authorization app;
  create table sales.orders (id bigint generated always as identity primary key, total numeric not null,
    doubled numeric generated always as (total * 2) stored, note text);
  create table sales.lines (order_id bigint references sales.orders, n int, primary key (order_id, n));
  create table sales.keyed (code uuid not null, v text);
  create unique index keyed_code on sales.keyed (code);
  alter table sales.keyed replica identity using index keyed_code;
  grant select, insert, update, delete on all tables in schema sales to app`;

const TRAPS = `
  create table no_key (a int, b text); create unique index usable on no_key (a); alter table no_key alter a set not null;
  create table deferred (a int primary key deferrable initially deferred);
  create table whole_rows (a int, at point); alter table whole_rows replica identity full;
  create table doubles (a int not null, b int generated always as (a * 2) stored not null);
  create unique index doubles_b on doubles (b); alter table doubles replica identity using index doubles_b;
  create unlogged table scratch (a int primary key);
  create materialized view summary as select 1 as one;
  create foreign data wrapper nothing; create server elsewhere foreign data wrapper nothing;
  create foreign table remote (a int) server elsewhere;
  create table refers (id int primary key, what oid, config regconfig);
  create table parent (a int not null, id int primary key); create table child (primary key (id)) inherits (parent);
  alter table child alter a drop not null;
  create table parts (id int primary key, parent int);
  alter table parts add constraint later foreign key (parent) references refers not valid;
  create function fires() returns trigger language plpgsql as $$begin return new; end$$;
  create trigger always before insert on refers for each row execute function fires();
  alter table refers enable always trigger always;
  create trigger off before insert on parts for each row execute function fires();
  alter table parts disable trigger off;
  create rule replicated as on insert to parts where new.id < 0 do instead nothing;
  alter table parts enable replica rule replicated;
  create function on_ddl() returns event_trigger language plpgsql as $$begin end$$;
  create event trigger watch on ddl_command_end execute function on_ddl();
  create table twice (id int primary key); insert into twice values (1);
  create table "Twice" (id int primary key);
  create table "line
break" (id int primary key);
  create publication everything for all tables;
  create subscription inbound connection 'host=127.0.0.1 port=1 dbname=none' publication p with (connect = false);
  create aggregate collect(anyelement) (sfunc = array_append, stype = anyarray, initcond = '{}');
  create operator !!! (leftarg = bigint, procedure = numeric_fac_trap);
  create conversion conv for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
  alter database trapped set work_mem to '8MB';
  select lo_create(0)`;

const PAIRS = [
  [13, 18],
  [14, 18],
  [17, 18],
  [13, 14],
].filter((pair) => pair.every((major) => AVAILABLE_MAJORS.includes(major))) as [number, number][];

const servers = new Map<number, TestServer>();

async function server(major: number): Promise<TestServer> {
  if (!servers.has(major)) servers.set(major, await TestServer.start(major));
  return servers.get(major)!;
}

async function run(
  [from, source]: [TestServer, string],
  [to, target]: [TestServer, string],
  options: PreflightOptions = {},
): Promise<Map<string, PreflightResult>> {
  const results = await runPreflight({ source: from.target(source), target: to.target(target), options });
  expect(new Set(results.map(({ check }) => check)).size).toBe(results.length);
  return new Map(results.map((result) => [result.check, result]));
}

function failed(results: Map<string, PreflightResult>): string[] {
  return [...results.values()].filter(({ passed }) => !passed).map(({ check }) => check);
}

describe('preflight', () => {
  beforeAll(async () => {
    for (const major of new Set(PAIRS.flat())) {
      const started = await server(major);
      await started.run(
        'postgres',
        `create role app login password 'app-secret'; create role reader login password 'r'`,
      );
      for (const database of ['clean', 'empty', 'trapped']) await started.freshDatabase(database);
      await started.run('clean', CLEAN_SCHEMA);
    }
  });

  afterAll(async () => {
    for (const started of servers.values()) await started.stop();
  });

  it.each(PAIRS)('finds nothing wrong with a sound %i going to %i', async (from, to) => {
    const results = await run([await server(from), 'clean'], [await server(to), 'empty'], { writerRoles: ['app'] });
    // Whether a release has known faults is a matter of time, not of these servers.
    expect(failed(results).filter((check) => !/^(source|target)-minor-release$/.test(check))).toEqual([]);
    expect(results.get('writer-roles')).toMatchObject({ passed: true, observed: expect.stringContaining('app') });
    expect(results.get('generated-columns')!.rows).toHaveLength(1);
    for (const result of results.values()) {
      expect(result).toMatchObject({
        check: expect.stringMatching(/^[a-z0-9]+(-[a-z0-9]+)*$/),
        sql: expect.stringMatching(/select|begin;/),
      });
    }
  });

  describe.each([14, 13, 17].filter((major) => AVAILABLE_MAJORS.includes(major)))(
    'with every trap set on %i',
    (major) => {
      let source: TestServer;
      let target: TestServer;
      let results: Map<string, PreflightResult>;
      let old: Session;
      let writer: Session;
      let prepared: Session;

      beforeAll(async () => {
        [source, target] = [await server(major), await server(18)];
        await source.run(
          'trapped',
          `select pg_create_logical_replication_slot('consumer', 'pgoutput');
        select pg_create_physical_replication_slot('lockstep_taken')`,
        );
        // In another database, so that it holds up no index build here; it grows old while the traps are set.
        old = await source.open('postgres');
        await old.execute('begin; select pg_catalog.txid_current()');
        // Removed in 14: what cannot be made there is not a trap there.
        const statements = TRAPS.split(';\n').filter((sql) => {
          if (/^\s*create (aggregate|conversion)/.test(sql)) return major < 14;
          return !/^\s*create operator/.test(sql);
        });
        for (const sql of statements) await source.run('trapped', sql);
        if (major < 14)
          await source
            .run('trapped', `create operator !!! (leftarg = bigint, procedure = numeric_fac)`)
            .catch(() =>
              source.run(
                'trapped',
                `create function fac(bigint) returns bigint language sql as 'select $1'; create operator !!! (leftarg = bigint, procedure = fac)`,
              ),
            );
        await source.run('trapped', `insert into twice select g from generate_series(2, 9) g`);
        // An index that could not be built stays behind, invalid.
        await source
          .run(
            'trapped',
            `create table dup (a int); insert into dup values (1), (1); alter table dup add primary key (a)`,
          )
          .catch(() => {});
        await source.withSession('trapped', async (session) => {
          await session.execute(
            'create table public.dup2 (a int, b int primary key); insert into public.dup2 values (1, 1), (1, 2)',
          );
          await session.execute('create unique index concurrently dup2_a on public.dup2 (a)').catch(() => {});
        });
        await source.run(
          'trapped',
          `create role hashed login; alter role app set statement_timeout to '5s';
        set password_encryption = 'md5'; alter role hashed password 'x'; grant insert on twice to hashed, app;
        create role chief superuser login`,
        );
        for (const [name, value] of [
          ['max_slot_wal_keep_size', '1GB'],
          ['synchronous_standby_names', 'ANY 1 (*)'],
          ['synchronous_commit', 'local'],
        ] as const) {
          await source.run('postgres', `alter system set ${name} to '${value}'`);
        }
        await source.run('postgres', 'select pg_reload_conf()');
        await target.run(
          'trapped',
          `create table left_over (id int); create schema extra; create type mood as enum ('good')`,
        );
        await target.run(
          'trapped',
          `create subscription arriving connection 'host=127.0.0.1 port=1 dbname=none' publication p with (connect = false)`,
        );
        await target
          .run(
            'postgres',
            `alter system set idle_replication_slot_timeout to '1h'; alter system set max_locks_per_transaction to 10`,
          )
          .catch(async () => {
            await target.run('postgres', `alter system set idle_replication_slot_timeout to '1h'`);
          });
        await target.run('postgres', 'select pg_reload_conf()');
        prepared = await source.open('trapped');
        await prepared.execute(`begin; insert into public.twice values (100); prepare transaction 'left behind'`);
        writer = await source.open('trapped');
        await writer.execute(`set application_name = 'psql'; create temporary table tmp (a int)`);
        await writer.execute(`begin; insert into public.twice values (101)`);
        await eventually(
          () =>
            source.withSession(
              'postgres',
              async (s) =>
                (
                  await s.rows(
                    `select from pg_stat_activity where backend_xid is not null and xact_start < clock_timestamp() - interval '5.2 s'`,
                  )
                ).length > 0,
            ),
          { within: 15_000 },
        );
        results = await run([source, 'trapped'], [target, 'trapped'], {
          writerRoles: ['app', 'nobody', 'chief', 'postgres'],
          objectNames: ['lockstep_taken'],
          sourceAddress: { host: '127.0.0.1', port: source.port, user: 'app' },
          targetAddress: { host: '10.0.0.9', port: target.port, user: 'missing' },
        });
      });

      afterAll(async () => {
        await old?.close();
        await writer?.close();
        await prepared?.execute(`rollback prepared 'left behind'`);
        await prepared?.close();
        await source?.run('postgres', 'alter system reset all');
        await source?.run('postgres', 'select pg_reload_conf()');
        for (const [started, sql] of [
          [source, `alter subscription inbound set (slot_name = none); drop subscription inbound`],
          [target, `alter subscription arriving set (slot_name = none); drop subscription arriving`],
        ] as const) {
          for (const statement of sql.split('; ')) await started?.run('trapped', statement);
        }
        await target?.run('postgres', 'alter system reset all');
        await target?.run('postgres', 'select pg_reload_conf()');
        await target?.freshDatabase('trapped');
      });

      it.each<[string, string, RegExp]>([
        ['source-address', 'blocker', /127\.0\.0\.1/],
        ['source-connection-user', 'blocker', /app lacks: REPLICATION/],
        ['target-connection-user', 'blocker', /missing lacks: the role does not exist/],
        ['tables-readable', 'blocker', /\d+ tables it may not read: public\./],
        ['replica-identity', 'blocker', /public\.deferred, public\.no_key/],
        ['replica-identity-full', 'warning', /public\.whole_rows/],
        ['replica-identity-full-equality', 'blocker', /public\.whole_rows/],
        ['generated-columns-in-identity', 'blocker', /public\.doubles/],
        ['large-objects', 'warning', /1 large objects, perhaps named by public\.refers\.what/],
        ['unlogged-tables', 'warning', /public\.scratch/],
        ['foreign-tables', 'warning', /public\.remote/],
        ['materialized-views', 'warning', /public\.summary/],
        ['temporary-tables', 'info', /tmp/],
        ['foreign-servers', 'warning', /elsewhere/],
        ['database-settings', 'warning', /work_mem=8MB/],
        ['long-transactions', 'warning', /pid \d+ of postgres/],
        ['prepared-transactions', 'blocker', /'left behind' of postgres/],
        ['target-empty', 'blocker', /public\.left_over, schema extra, type public\.mood/],
        ['source-names-free', 'blocker', /replication slot lockstep_taken/],
        ['logical-consumers', 'warning', /consumer/],
        ['source-subscriptions', 'warning', /inbound/],
        ['target-subscriptions', 'blocker', /arriving/],
        ['all-tables-publications', 'warning', /everything/],
        ['triggers-firing-on-apply', 'warning', /always on public\.refers/],
        ['disabled-triggers', 'info', /off on public\.parts/],
        ['rules-firing-on-apply', 'warning', /replicated on public\.parts/],
        ['event-triggers', 'warning', /watch/],
        ['not-valid-constraints', 'warning', /later on public\.parts/],
        ['invalid-indexes', 'warning', /public\.dup2_a/],
        ['inherited-not-null', 'blocker', /public\.child/],
        ['catalog-dependent-columns', 'warning', /public\.refers\.config/],
        ['names-with-control-characters', 'warning', /line\nbreak/],
        ['names-differing-in-case', 'info', /public\."Twice" \/ public\.twice/],
        ['source-max-slot-wal-keep-size', 'warning', /1024MB/],
        ['target-idle-replication-slot-timeout', 'warning', /3600s|60min/],
        ['source-replication-timeouts', 'warning', /statement_timeout = 5s for app/],
        ['source-synchronous-standbys', 'warning', /ANY 1 \(\*\)/],
        ['writer-roles', 'blocker', /chief is a superuser.*; postgres carries.*; nobody does not exist/],
        ['writers-not-fenced', 'warning', /hashed/],
        ['sessions-beyond-the-fence', 'warning', /pid \d+ of postgres \(psql\)/],
      ])('names %s', (check, severity, observed) => {
        expect(results.get(check)).toMatchObject({
          passed: false,
          severity,
          observed: expect.stringMatching(observed),
          remedy: expect.stringMatching(/\w/),
        });
      });

      it('names what 14 removed, only where it is there', () => {
        for (const check of ['postfix-operators', 'anyarray-functions', 'encoding-conversions']) {
          expect([check, results.get(check)!.passed]).toEqual([check, major >= 14]);
        }
      });

      it('says which command makes a replica identity, and takes full-where-missing for one', async () => {
        expect(results.get('replica-identity')!.remedy).toContain(
          'alter table public.no_key replica identity using index usable;',
        );
        const asked = await run([source, 'trapped'], [target, 'trapped'], { replicaIdentity: 'full-where-missing' });
        expect(asked.get('replica-identity')!.passed).toBe(true);
        expect(asked.get('md5-verifiers')!.observed).toContain('hashed');
      });
    },
  );
});
