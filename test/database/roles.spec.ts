import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { identifier } from '../../src/postgres/quoting.js';
import { dropCreated, removeJournal } from '../../src/postgres/schema/created-objects.js';
import { allowLogins, dropCreatedRoles } from '../../src/postgres/schema/created-roles.js';
import { createdRoles, createRoles, planRoles } from '../../src/postgres/schema/roles.js';
import { Session } from '../../src/postgres/session.js';
import { TestServer } from '../support/postgres-fleet.js';

const SECRET = 'writer-planted-secret';

describe.each([
  [13, 18],
  [16, 18],
  [17, 15],
])('roles of PostgreSQL %i carried to %i', (from, to) => {
  const p = `roles${from}to${to}`;
  const database = `${p}_db`;
  const names = {
    owner: `${p} "owner"`,
    group: `${p}_group`,
    outer: `${p}_outer`,
    writer: `${p}_writer`,
    policy: `${p}_policy`,
    other: `${p}_other`,
    existing: `${p}_existing`,
  };
  const quoted = Object.fromEntries(
    Object.entries(names).map(([key, name]) => [key, identifier(name)]),
  ) as typeof names;
  let source: TestServer;
  let target: TestServer;
  let a: Session;
  let b: Session;

  beforeAll(async () => {
    source = await TestServer.shared(from);
    target = await TestServer.shared(to);
    for (const server of [source, target]) {
      await server.freshDatabase(database);
      await server.withSession(database, async (session) => {
        for (const name of [...Object.values(quoted), `${p}_reader`])
          await session.execute(`drop role if exists ${name}`);
      });
    }
    await source.run(
      database,
      `create role ${quoted.owner}; create role ${quoted.outer} createrole; create role ${quoted.group} in role ${quoted.outer}, pg_monitor noinherit;
       create role ${quoted.writer} login password '${SECRET}' connection limit 7 valid until '2040-01-01 00:00:00+00';
       grant ${quoted.group} to ${quoted.writer} with admin option;
       create role ${quoted.policy} nologin bypassrls; create role ${quoted.other} login; create role ${quoted.existing} login createdb;
       alter role ${quoted.writer} set search_path = "$user", "Odd ""x", public; alter role ${quoted.writer} set statement_timeout = '17s';
       alter role ${quoted.writer} in database ${database} set application_name = 'it''s; "here"'; alter role ${quoted.writer} set my.custom = 'a, b';
       create table owned (id integer); alter table owned owner to ${quoted.owner}; alter table owned enable row level security;
       create policy p on owned to ${quoted.policy}; grant select on owned to ${quoted.existing};`,
    );
    await target.run(database, `create role ${quoted.existing} nologin`);
    a = await source.open(database);
    b = await target.open(database);
  });
  afterAll(async () => {
    await a?.close();
    await b?.close();
    for (const server of [source, target]) {
      await server?.run(database, `drop table if exists owned`);
      for (const name of Object.values(quoted)) await server?.run(database, `drop role if exists ${name}`);
      await server?.stop();
    }
  });

  it('plans owners, grantees, policy roles, writers and their groups, and nothing else', async () => {
    const plan = await planRoles(a, b, { roles: [names.writer] });
    expect(plan.create.map(({ name }) => name).sort()).toEqual(
      [names.owner, names.group, names.outer, names.writer, names.policy].sort(),
    );
    expect(plan.blockers).toEqual([]);
    expect(plan.warnings).toEqual([]);
    expect(plan.existing.find(({ name }) => name === names.existing)!.differences).toEqual([
      'createDatabase is false, not true',
      'login is false, not true',
    ]);
    expect(JSON.stringify(plan)).not.toMatch(/SCRAM|md5/);
  });

  it('creates them barred, with password, memberships and settings, and takes them away again', async () => {
    const plan = await planRoles(a, b, { roles: [names.writer] });
    expect(await createRoles(a, b, plan, { barLogins: true })).toHaveLength(5);
    const writer = { ...target.target(database), user: names.writer, password: SECRET };
    await expect(Session.open(writer)).rejects.toMatchObject({ code: 'SERVER_AUTHENTICATION_FAILED' });
    expect(await createRoles(a, b, await planRoles(a, b, { roles: [names.writer] }), { barLogins: true })).toEqual([]);
    expect((await createdRoles(b)).filter(({ wantedLogin }) => wantedLogin)).toEqual([
      { name: names.writer, wantedLogin: true, login: false },
    ]);
    expect(await allowLogins(b)).toEqual([names.writer]);
    const session = await Session.open(writer);
    await session.close();

    const compared = `select r.rolname, r.rolinherit, r.rolcreaterole, r.rolcanlogin, r.rolbypassrls, r.rolconnlimit, r.rolvaliduntil,
        (select array_agg(g.rolname || ' ' || m.admin_option order by 1) from pg_auth_members m join pg_roles g on g.oid = m.roleid
          where m.member = r.oid) as groups,
        (select array_agg((s.setdatabase <> 0)::text || s.setconfig::text order by s.setdatabase <> 0) from pg_db_role_setting s where s.setrole = r.oid) as settings
      from pg_roles r where r.rolname = any ($1) order by 1`;
    const carried = [names.owner, names.group, names.outer, names.writer, names.policy];
    expect(await b.rows(compared, [carried])).toEqual(await a.rows(compared, [carried]));

    await b.execute(`create table public.theirs (id integer); alter table public.theirs owner to ${quoted.policy}`);
    const first = await dropCreatedRoles(b);
    expect(first.left.map(({ role }) => role)).toEqual([names.policy]);
    expect(first.dropped).toHaveLength(4);
    await b.execute('drop table public.theirs');
    expect(await dropCreatedRoles(b)).toEqual({ dropped: [names.policy], left: [] });
    expect(await b.rows('select from pg_roles where rolname = any ($1)', [carried])).toEqual([]);
    expect(await b.rows('select from pg_roles where rolname = $1', [names.existing])).toHaveLength(1);
  });

  it('is blocked where verifiers cannot be read, unless the password is given', async () => {
    const reader = `${p}_reader`;
    await a.execute(`create role ${reader} login password 'reader-secret'`);
    const limited = await Session.open({ ...source.target(database), user: reader, password: 'reader-secret' });
    try {
      const plan = await planRoles(limited, b, { roles: [names.writer, 'no such role'] });
      expect(plan.blockers.map(({ role }) => role)).toEqual(['no such role', names.writer]);
      await expect(createRoles(limited, b, plan, { barLogins: false })).rejects.toMatchObject({
        code: 'PRECONDITION_FAILED',
      });
      const given = await planRoles(limited, b, { roles: [names.writer], passwordsGiven: [names.writer] });
      expect(given.blockers).toEqual([]);
      await createRoles(limited, b, given, { barLogins: false, passwords: new Map([[names.writer, "päss;'word"]]) });
      const writer = await Session.open({ ...target.target(database), user: names.writer, password: "päss;'word" });
      await writer.close();
      // An abort takes the objects away first; the roles must still be known then.
      await dropCreated(b);
      await removeJournal(b);
      expect(await dropCreatedRoles(b)).toEqual({ dropped: expect.arrayContaining([names.writer]), left: [] });
      expect(await b.rows(`select from pg_namespace where nspname = 'lockstep'`)).toEqual([]);
    } finally {
      await limited.close();
      await a.execute(`drop role ${reader}`);
    }
  });
});
