import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { dropCreated, removeJournal } from '../../src/postgres/schema/created-objects.js';
import { dropCreatedRoles, leaveCreatedRoles } from '../../src/postgres/schema/created-roles.js';
import { type DumpItem, parseDump } from '../../src/postgres/schema/dump-statements.js';
import { compareSchemas } from '../../src/postgres/schema/fingerprint.js';
import { dumpSchema } from '../../src/postgres/schema/pg-dump.js';
import { rehearseRestore } from '../../src/postgres/schema/rehearse.js';
import { splitPostData } from '../../src/postgres/schema/restore-plan.js';
import { restoreEntries } from '../../src/postgres/schema/restore.js';
import { createRoles, planRoles, type RolePlan } from '../../src/postgres/schema/roles.js';
import { Session } from '../../src/postgres/session.js';
import { runPreflight } from '../../src/upgrades/preflight/preflight.service.js';
import { eventually } from '../support/eventually.js';
import { asLogin, grantDocumented } from '../support/least-privilege.js';
import { TestServer } from '../support/postgres-fleet.js';
import { catalogsOf } from '../support/upgrade-proof.js';
import { DATABASE } from '../support/upgrade-scene.js';

/**
 * What is common in real databases and needs more than owning the tables: tables in public of an owner who may not
 * create there, grants passed on by a grantee, an extension with its comment, privileges on the system's functions.
 */
const SCHEMA = `
  create role orders_owner; create role orders_writer_a login password 'a'; create role orders_writer_b login password 'b';
  create schema shared; grant usage on schema shared to orders_owner;
  create extension pg_trgm schema public;
  grant execute on function pg_catalog.pg_ls_waldir() to orders_writer_a;
  create table public.orders (id bigint generated always as identity primary key, note text);
  create table shared.parts (id int primary key, order_id bigint references public.orders, name text);
  create index on shared.parts using gin (name public.gin_trgm_ops);
  create function public.total() returns bigint language sql return (select count(*) from public.orders);
  create view public.open as select * from public.orders;
  alter table public.orders owner to orders_owner; alter table shared.parts owner to orders_owner;
  alter function public.total() owner to orders_owner; alter view public.open owner to orders_owner;
  alter schema shared owner to orders_writer_b;
  grant select, insert on public.orders to orders_writer_a with grant option;
  set role orders_writer_a; grant select on public.orders to orders_writer_b; reset role;
  alter default privileges for role orders_owner revoke execute on functions from public`;

describe('a restore by a login that is no superuser', () => {
  let source: TestServer;
  let target: TestServer;
  let mine: Session;
  let theirs: Session;
  let items: { pre: DumpItem[]; early: DumpItem[]; late: DumpItem[] };
  let plan: RolePlan;

  beforeAll(async () => {
    [source, target] = await Promise.all([TestServer.start(17), TestServer.start(18)]);
    await source.freshDatabase(DATABASE);
    await target.freshDatabase(DATABASE);
    await source.run(DATABASE, SCHEMA);
    await grantDocumented(target, 'target');
    theirs = await source.open(DATABASE);
    mine = await Session.open(asLogin(target), { purpose: 'test' });
    const post = splitPostData(parseDump(await dumpSchema(source.target(DATABASE), { section: 'post-data' })));
    const pre = parseDump(await dumpSchema(source.target(DATABASE), { section: 'pre-data' }));
    items = { pre, early: post.earlyPostData, late: post.latePostData };
    plan = await planRoles(theirs, mine, { roles: ['orders_writer_a', 'orders_writer_b'] });
  }, 120_000);
  afterAll(async () => {
    await mine?.close();
    await theirs?.close();
    await Promise.all([source?.stop(), target?.stop()]);
  });

  const all = () => [...items.pre, ...items.early, ...items.late];

  it('is rehearsed without a trace', async () => {
    const before = await catalogsOf(target);
    expect(await rehearseRestore(mine, plan, all())).toEqual([]);
    expect(await catalogsOf(target)).toEqual(before);
  });

  it('gives every object its owner and its privileges, and takes all of it back', async () => {
    const before = await catalogsOf(target);
    await createRoles(theirs, mine, plan, { barLogins: true });
    for (const section of ['pre', 'early', 'late'] as const) await restoreEntries(mine, items[section], { section });
    expect(await compareSchemas(theirs, mine)).toEqual([]);
    const owners = `select c.oid::regclass::text as name, c.relowner::regrole::text as owner, n.nspowner::regrole::text as schema,
        (select array_agg(a::text order by a::text) from (
           select grantor::regrole || '>' || grantee::regrole || ':' || privilege_type || is_grantable as a
             from aclexplode(c.relacl)) as x) as acl
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'v') and n.nspname in ('shared') or c.oid in (to_regclass('public.orders'), to_regclass('public.open'))
     order by 1`;
    expect(await mine.rows(owners)).toEqual(await theirs.rows(owners));
    const { acl } = await mine.row<{ acl: string }>(
      `select nspacl::text as acl from pg_namespace where nspname = 'public'`,
    );
    expect(acl).not.toContain('orders_owner');

    expect(await leaveCreatedRoles(mine)).toEqual(['orders_owner', 'orders_writer_a', 'orders_writer_b']);
    expect(await leaveCreatedRoles(mine)).toEqual([]);
    for (const role of ['orders_owner', 'orders_writer_a', 'orders_writer_b']) {
      await mine.execute(`grant ${role} to current_user with inherit true, set true`);
    }
    expect((await dropCreated(mine)).left).toEqual([]);
    expect((await dropCreatedRoles(mine)).left).toEqual([]);
    await removeJournal(mine);
    expect(await catalogsOf(target)).toEqual(before);
  });

  it('is refused beforehand, by name, where only a superuser can', async () => {
    await grantDocumented(source, 'source');
    const asDocumented = await runPreflight({ source: asLogin(source), target: asLogin(target), options: {} });
    // Not of Lockstep's own login, whose grants on the source are nobody's business on the target.
    expect(asDocumented.find(({ check }) => check === 'system-privileges')).toMatchObject({
      passed: false,
      severity: 'warning',
      remedy: expect.stringMatching(/^GRANT ALL ON FUNCTION pg_catalog\.pg_ls_waldir\([^\n]* TO orders_writer_a;$/),
    });
    await source.run(
      DATABASE,
      `create table public.of_superuser (id int primary key); create extension pg_stat_statements;
       create function public.trusting() returns int language sql leakproof return 1;
       create function public.watch() returns event_trigger language plpgsql as 'begin end';
       create event trigger watch on ddl_command_end execute function public.watch()`,
    );
    const results = await runPreflight({ source: source.target(DATABASE), target: asLogin(target), options: {} });
    const found = results.find(({ check }) => check === 'schema-restorable')!;
    expect(found).toMatchObject({ passed: false, severity: 'blocker' });
    const objects = found.rows!.map(({ object }) => String(object)).sort();
    expect(objects).toEqual([
      'EVENT TRIGGER watch',
      'EXTENSION pg_stat_statements',
      'FUNCTION public.trusting()',
      'FUNCTION public.watch()',
      'TABLE public.of_superuser',
    ]);
    expect(found.remedy).toContain('give what postgres owns an owner that is no superuser');
  });

  it('row security that binds the owner stops a subscription, whoever made it, and is named beforehand', async () => {
    const forced = `create table public.forced (id int primary key); alter table public.forced owner to orders_owner;
      alter table public.forced enable row level security; alter table public.forced force row level security;`;
    await source.run(
      DATABASE,
      `${forced} insert into public.forced values (1); create publication forced for table public.forced`,
    );
    await target.freshDatabase('forced');
    await target.run('forced', `create role orders_owner; grant create on schema public to orders_owner; ${forced}`);
    const { host, port, user, password } = source;
    await target.run(
      'forced',
      `create subscription forced connection 'host=${host} port=${port} user=${user} password=${password} dbname=${DATABASE}' publication forced`,
    );
    try {
      await eventually(
        () =>
          target.withSession('forced', async (session) => {
            const [row] = await session.rows<{ failed: boolean }>(
              'select sync_error_count > 0 as failed from pg_stat_subscription_stats',
            );
            return row?.failed;
          }),
        { within: 30_000 },
      );
    } finally {
      await target.run('forced', 'drop subscription forced');
    }
    const results = await runPreflight({
      source: source.target(DATABASE),
      target: target.target(DATABASE),
      options: {},
    });
    for (const side of ['source', 'target']) {
      expect(results.find(({ check }) => check === `${side}-applies-forced-row-security`)).toMatchObject({
        passed: false,
        severity: 'blocker',
        remedy: expect.stringContaining('alter table public.forced no force row level security;'),
      });
    }
  });
});
