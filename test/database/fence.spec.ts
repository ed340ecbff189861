import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { STARTING_SESSIONS } from '../../src/postgres/catalog/fence.sql.js';
import { Session } from '../../src/postgres/session.js';
import type { FenceRecord } from '../../src/upgrades/traffic/fence-record.js';
import { compareRecord } from '../../src/upgrades/traffic/compare-record.js';
import { planFence } from '../../src/upgrades/traffic/plan-fence.js';
import { proveBar } from '../../src/upgrades/traffic/prove-bar.js';
import { barRoles, lowerFence, openRoles, raiseFence } from '../../src/upgrades/traffic/sql-fence.js';
import { findWriterRoles } from '../../src/upgrades/traffic/writers.js';
import { parseLsn } from '../../src/shared/lsn.js';
import { eventually } from '../support/eventually.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const PASSWORD = 'writer-secret';
const EXCLUDED = ['postgres', 'replicator'];
const MAJORS = [13, 14, 16, 18].filter((major) => AVAILABLE_MAJORS.includes(major));

/** A client of one role that writes as fast as it can and comes back as soon as it is cut off. */
class Hammer {
  refused = 0;
  written = 0;
  private stopped = false;
  private readonly running: Promise<void>;

  constructor(
    private readonly server: TestServer,
    private readonly role: string,
    private readonly begin = '',
    private readonly writesPerSession = Infinity,
  ) {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      try {
        const session = await Session.open({ ...this.server.target('shop'), user: this.role, password: PASSWORD });
        try {
          for (let n = 0; n < this.writesPerSession && !this.stopped; n++) {
            await session.execute(`${this.begin} insert into public.orders (who) values ('${this.role}')`);
            this.written++;
          }
        } finally {
          await session.close();
        }
      } catch {
        this.refused++;
      }
    }
  }
}

describe.each(MAJORS)('the SQL fence on PostgreSQL %i', (major) => {
  let server: TestServer;
  let admin: Session;
  const hammers: Hammer[] = [];

  beforeAll(async () => {
    server = await TestServer.start(major);
    await server.freshDatabase('shop');
    await server.freshDatabase('other');
    await server.freshDatabase('copy');
    const login = `login password '${PASSWORD}'`;
    await server.run(
      'shop',
      `create role writers; create role readers; create role "Odd ""owner"" -- x" ${login};
       create role member ${login} in role writers; create role setter ${login} noinherit in role writers;
       create role multi ${login} in role writers; create role reader ${login} in role readers;
       create role definer ${login}; create role replicator ${login} replication;
       create role preset ${login} in role writers; create role hidden ${login} in role postgres;
       alter role preset in database shop set work_mem to '8MB';
       alter role preset in database shop set default_transaction_read_only to 'off';
       alter role preset in database shop set lock_timeout to '3s';
       create table orders (id bigserial primary key, who text not null);
       create table owned (id int primary key); alter table owned owner to "Odd ""owner"" -- x";
       grant insert on orders to writers; grant usage on sequence orders_id_seq to writers;
       grant select on orders to readers, replicator;
       create function log_it() returns void language sql security definer as $$insert into public.orders (who) values ('definer')$$;
       revoke execute on function log_it() from public; grant execute on function log_it() to definer;
       create publication pub for table orders`,
    );
    await server.run('other', `create table theirs (id int); grant insert on theirs to multi`);
    admin = await server.open('shop');
    // In one server the slot has to exist before the subscription does.
    await server.run('shop', `select pg_create_logical_replication_slot('copied', 'pgoutput')`);
    await server.run(
      'copy',
      `create table orders (id bigint primary key, who text);
       create subscription sub connection 'host=127.0.0.1 port=${server.port} dbname=shop user=replicator password=${PASSWORD}'
         publication pub with (create_slot = false, slot_name = 'copied', copy_data = false)`,
    );
  });

  afterAll(async () => {
    await Promise.all(hammers.map((hammer) => hammer.stop()));
    await admin?.close();
    await server?.stop();
  });

  async function plan(requested?: string[]): Promise<FenceRecord> {
    const writers = await findWriterRoles(admin, { excluded: EXCLUDED, ...(requested ? { requested } : {}) });
    return planFence(admin, { roles: writers.roles, excluded: EXCLUDED });
  }

  async function catalogs(): Promise<unknown> {
    return {
      roles: await admin.rows('select * from pg_catalog.pg_authid order by rolname'),
      databases: await admin.rows('select datname, datacl::text from pg_catalog.pg_database order by 1'),
      settings: await admin.rows('select * from pg_catalog.pg_db_role_setting order by 1, 2'),
    };
  }

  async function count(): Promise<number> {
    return (await admin.row<{ n: number }>('select count(*)::int as n from public.orders')).n;
  }

  it('finds every role that can write, by whatever way, and no other', async () => {
    const { roles, superusers } = await findWriterRoles(admin, { excluded: EXCLUDED });
    const why = Object.fromEntries(roles.map((role) => [role.name, role.why]));
    expect(Object.keys(why).sort()).toEqual(
      ['Odd "owner" -- x', 'definer', 'hidden', 'member', 'multi', 'preset', 'setter'].sort(),
    );
    expect(why.setter).toContain('INSERT on public.orders as member of writers');
    expect(why['Odd "owner" -- x']).toBe('owns public.owned');
    expect(why.definer).toContain('security definer function');
    expect(why.hidden).toBe('member of superuser postgres');
    expect(superusers).toEqual([]);
  });

  it('refuses to bar roles that must not be, and takes a group for its members', async () => {
    const requested = ['writers', 'postgres', 'replicator', 'nobody', 'readers', 'readers'];
    await server.run('shop', 'create role boss superuser login');
    const answer = await findWriterRoles(admin, { requested: [...requested, 'boss'], excluded: EXCLUDED });
    await server.run('shop', 'drop role boss');
    expect(answer.roles.map(({ name }) => name)).toEqual(['member', 'multi', 'preset', 'reader', 'setter']);
    expect(answer.blockers.map(({ role }) => role)).toEqual(['postgres', 'replicator', 'boss']);
    expect(answer.absent).toEqual([{ role: 'nobody', reason: 'does not exist' }]);
    expect(answer.notRequested.map(({ name }) => name)).toEqual(['Odd "owner" -- x', 'definer', 'hidden']);
  });

  it('stops every write of the roles, keeps replication alive, and lowers to exactly what was', async () => {
    await server.run(
      'shop',
      `revoke connect on database shop from public;
      grant connect on database shop to readers, writers, setter, replicator, definer, hidden;
      grant connect on database shop to "Odd ""owner"" -- x" with grant option;
      set role "Odd ""owner"" -- x"; grant connect on database shop to multi; reset role`,
    );
    await admin.execute(`select pg_catalog.pg_create_logical_replication_slot('probe', 'pgoutput')`);
    const before = await catalogs();
    const elsewhere = await Session.open({ ...server.target('other'), user: 'multi', password: PASSWORD });
    hammers.push(
      new Hammer(server, 'member'),
      new Hammer(server, 'setter', 'set role writers;'),
      new Hammer(server, 'multi', 'begin read write; commit; begin read write;'),
      new Hammer(server, 'member', '', 1),
      new Hammer(server, 'multi', '', 1),
      new Hammer(server, 'preset', 'set default_transaction_read_only = off;'),
    );
    const long = await Session.open({ ...server.target('shop'), user: 'member', password: PASSWORD });
    await long.execute(`begin; insert into public.orders (who) values ('long')`);
    const sitting = await Session.open({ ...server.target('shop'), user: 'reader', password: PASSWORD });
    await eventually(() => hammers.every(({ written }) => written > 20), { within: 20_000 });

    const record = await plan();
    // Of what roles have set only what the fence changes: the rest may be secret, and the record is stored.
    expect(record.roles.flatMap(({ settings }) => settings ?? [])).toEqual(['default_transaction_read_only=off']);
    expect(Object.fromEntries(record.roles.map(({ name, method }) => [name, method]))).toMatchObject({
      member: 'nologin',
      multi: 'revoke-connect',
    });
    const raised = await raiseFence(admin, JSON.parse(JSON.stringify(record)) as FenceRecord, { deadlineMs: 10_000 });
    const rows = await count();
    expect(raised.terminated).toBeGreaterThanOrEqual(5);
    expect(long.alive).toBe(false);
    expect(sitting.alive).toBe(true);
    expect(elsewhere.alive).toBe(true);

    const refused = hammers.map((hammer) => hammer.refused);
    await eventually(() => hammers.every((hammer, n) => hammer.refused > refused[n]! + 20), { within: 20_000 });
    expect(await count()).toBe(rows);
    const proof = await proveBar(server.target('shop'), record, (role) => (role === 'definer' ? undefined : PASSWORD));
    expect(proof.held).toBe(true);
    expect(Object.fromEntries(proof.roles.map(({ name, catalog, login }) => [name, `${catalog} ${login}`]))).toEqual({
      'Odd "owner" -- x': 'nologin refused',
      definer: 'nologin not-reached',
      hidden: 'nologin refused',
      member: 'nologin refused',
      multi: 'no-connect refused',
      preset: 'nologin refused',
      setter: 'nologin refused',
    });

    // A reader is not barred, nor is replication: even a walsender that has to log in again gets through.
    await (await Session.open({ ...server.target('shop'), user: 'reader', password: PASSWORD })).close();
    await admin.rows(
      `select pg_catalog.pg_terminate_backend(active_pid) from pg_catalog.pg_replication_slots where slot_name = 'copied'`,
    );
    await admin.execute(`insert into public.orders (who) values ('marker')`);
    await eventually(
      () =>
        server.withSession(
          'copy',
          async (s) => (await s.rows(`select from public.orders where who = 'marker'`)).length > 0,
        ),
      { within: 30_000 },
    );
    const changes = await admin.rows<{ lsn: string; kind: string }>(
      `select lsn::text, chr(get_byte(data, 0)) as kind from pg_catalog.pg_logical_slot_peek_binary_changes(
         'probe', null, null, 'proto_version', '1', 'publication_names', 'pub')`,
    );
    const after = changes.filter(({ lsn, kind }) => kind === 'I' && parseLsn(lsn) >= parseLsn(raised.fenceLsn));
    expect(after).toHaveLength(1);

    const again = await raiseFence(admin, record, { deadlineMs: 10_000 });
    expect(parseLsn(again.fenceLsn)).toBeGreaterThanOrEqual(parseLsn(raised.fenceLsn));
    expect(await lowerFence(admin, record)).toEqual([]);
    expect(await lowerFence(admin, record)).toEqual([]);
    expect(await catalogs()).toEqual(before);
    const written = hammers.map((hammer) => hammer.written);
    await eventually(() => hammers.every((hammer, n) => hammer.written > written[n]! + 5), { within: 20_000 });
    await Promise.all(hammers.splice(0).map((hammer) => hammer.stop()));
    await Promise.all([elsewhere.close(), sitting.close(), long.close()]);
    await server.run('shop', `select pg_drop_replication_slot('probe')`);
    await eventually(
      () =>
        server.withSession(
          'copy',
          async (s) => (await s.row<{ n: number }>('select count(*)::int n from public.orders')).n === (await count()),
        ),
      { within: 20_000 },
    );
  });

  it('undoes half a raise, keeps a default ACL the default, and says what others changed', async () => {
    await server.run(
      'shop',
      `revoke connect on database shop from readers, writers, setter, replicator, definer, hidden, "Odd ""owner"" -- x" cascade;
      grant connect on database shop to public`,
    );
    const record = await plan();
    const before = await catalogs();
    await admin.execute(
      'alter role member nologin; alter role setter in database shop set default_transaction_read_only to on',
    );
    expect((await compareRecord(admin, record)).map(({ object }) => object)).toEqual([
      'login of member',
      'default_transaction_read_only of setter in shop',
    ]);
    await lowerFence(admin, record);
    expect(await catalogs()).toEqual(before);

    await raiseFence(admin, record, { deadlineMs: 10_000 });
    // Settings the fence does not touch are nobody's business here: they may hold secrets.
    await admin.execute(
      `alter role setter in database shop set work_mem to '9MB'; drop owned by definer; drop role definer`,
    );
    expect(await lowerFence(admin, record)).toEqual([
      { ours: false, object: 'role definer', recorded: 'exists', observed: 'was dropped' },
    ]);
    await admin.execute(
      `alter role setter in database shop reset work_mem; create role definer login password '${PASSWORD}'`,
    );
  });

  it('leaves a null database ACL meaning what it meant', async () => {
    await admin.execute('drop database if exists fresh');
    await server.freshDatabase('fresh');
    await server.run('fresh', 'create table t (id int); grant insert on t to multi');
    await server.withSession('fresh', async (session) => {
      const writers = await findWriterRoles(session, { excluded: EXCLUDED });
      const record = await planFence(session, { roles: writers.roles, excluded: EXCLUDED });
      expect(record.datacl).toBeNull();
      await raiseFence(session, record, { deadlineMs: 10_000 });
      expect((await proveBar(server.target('fresh'), record, () => PASSWORD)).held).toBe(true);
      await lowerFence(session, record);
      expect(await compareRecord(session, record)).toEqual([]);
      const { same } = await session.row<{ same: boolean }>(
        `select datacl = pg_catalog.acldefault('d', datdba) as same from pg_catalog.pg_database where datname = 'fresh'`,
      );
      expect(same).toBe(true);
    });
  });

  it('names prepared transactions and a session that will not end', async () => {
    const member = await Session.open({ ...server.target('shop'), user: 'member', password: PASSWORD });
    await member.execute(`begin; insert into public.orders (who) values ('2pc'); prepare transaction 'pending one'`);
    const record = await plan();
    await expect(raiseFence(admin, record, { deadlineMs: 5_000 })).rejects.toMatchObject({
      code: 'PREREQUISITE_FAILED',
      detail: expect.stringContaining('"pending one" of member'),
    });
    await lowerFence(admin, record);
    await admin.execute(`rollback prepared 'pending one'`);
    await member.close();
    const stuck = await Session.open({ ...server.target('shop'), user: 'member', password: PASSWORD });
    await expect(raiseFence(admin, record, { deadlineMs: 0 })).rejects.toMatchObject({
      code: 'SERVER_TIMEOUT',
      detail: expect.stringContaining(`pid ${stuck.backendPid} of member`),
    });
    await stuck.close();
    await lowerFence(admin, record);
    expect(await compareRecord(admin, record)).toEqual([]);
  });

  it('waits for a session that passed the check of its role just before the bar fell', async () => {
    const record = await plan();
    // The server sleeps after it checked role and database, and before it shows the session.
    const slow = Session.open(
      { ...server.target('shop'), user: 'member', password: PASSWORD },
      { settings: { post_auth_delay: '2' } },
    ).then(async (session) => {
      for (;;) await session.execute(`insert into public.orders (who) values ('late')`);
    });
    slow.catch(() => {});
    await eventually(async () => (await admin.rows<{ admitted: boolean }>(STARTING_SESSIONS)).some((s) => s.admitted), {
      within: 10_000,
      every: 5,
    });
    const { terminated } = await raiseFence(admin, record, { deadlineMs: 15_000 });
    const rows = await count();
    expect(terminated).toBe(1);
    await expect(slow).rejects.toThrow();
    expect(await count()).toBe(rows);
    await lowerFence(admin, record);
  });

  it('needs no superuser: CREATEROLE, pg_signal_backend and the database will do', async () => {
    await server.run('shop', `create role ops login createrole password '${PASSWORD}' in role pg_signal_backend`);
    await server.run('shop', 'create database narrow owner ops');
    await server.withSession('narrow', (s) => s.execute('create table public.t (id int)'));
    const target = { ...server.target('narrow'), user: 'ops', password: PASSWORD };
    const ops = await Session.open(target);
    await ops.execute(`create role w1 login password '${PASSWORD}'; create role w2 login password '${PASSWORD}'`);
    await server.run('narrow', 'grant insert on t to w1, w2');
    await server.run('shop', 'create table w2_was_here (id int primary key); grant select on w2_was_here to w2');
    const { roles } = await findWriterRoles(ops, { requested: ['w1', 'w2'], excluded: ['ops'] });
    const record = await planFence(ops, { roles, excluded: ['ops'] });
    expect(record.roles.map(({ method }) => method)).toEqual(['nologin', 'revoke-connect']);
    const before = await catalogs();
    const busy = await Session.open({ ...target, user: 'w2' });
    await busy.execute('begin; insert into public.t values (1)');
    const raised = await raiseFence(ops, record, { deadlineMs: 10_000 });
    expect(raised).toMatchObject({ terminated: 1, otherWriters: null });
    expect((await proveBar(target, record, () => PASSWORD)).held).toBe(true);
    await (await Session.open(target)).close();
    expect(await lowerFence(ops, record)).toEqual([]);
    expect({ ...((await catalogs()) as object), databases: [] }).toEqual({ ...(before as object), databases: [] });
    await busy.close();
    await ops.close();
    await server.run('shop', 'drop table w2_was_here');
    await server.run('shop', 'drop database narrow');
    await server.run('shop', 'drop role w1, w2, ops');
  });

  it('keeps roles out of a target until it is opened', async () => {
    await server.run('shop', `create role newcomer nologin password '${PASSWORD}'`);
    const { oid } = await admin.row<{ oid: number }>(`select oid from pg_catalog.pg_roles where rolname = 'newcomer'`);
    const record = await planFence(admin, {
      roles: [{ oid, name: 'newcomer', canLoginWhenOpen: true }],
      excluded: EXCLUDED,
    });
    await barRoles(admin, record);
    expect((await proveBar(server.target('shop'), record, () => PASSWORD)).held).toBe(true);
    await openRoles(admin, record);
    await openRoles(admin, record);
    await (await Session.open({ ...server.target('shop'), user: 'newcomer', password: PASSWORD })).close();
    expect((await proveBar(server.target('shop'), record, () => PASSWORD)).held).toBe(false);
    await lowerFence(admin, record);
    await expect(Session.open({ ...server.target('shop'), user: 'newcomer', password: PASSWORD })).rejects.toThrow();
    await server.run('shop', 'drop role newcomer');
  });
});
