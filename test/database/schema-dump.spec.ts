import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ConnectionTarget, TlsSettings } from '../../src/postgres/connection.js';
import { literal } from '../../src/postgres/quoting.js';
import { dumpSchema } from '../../src/postgres/schema/pg-dump.js';
import { eventually } from '../support/eventually.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'schema dump "x"';

describe.each(AVAILABLE_MAJORS)('schema dump from PostgreSQL %i', (major) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase(DATABASE);
    await server.run(
      DATABASE,
      `create table t (id int primary key, "odd ""name" text); create publication p for table t;
       create schema lockstep; create table lockstep.ours (id int);
       create schema "left * ""out"; create table "left * ""out".u (id int); create schema "left in out"; create table "left in out".w (id int)`,
    );
  });
  afterAll(async () => server?.stop());

  it('writes both sections and leaves out publications, our own schema, and what is asked', async () => {
    const target = server.target(DATABASE);
    const pre = await dumpSchema(target, { section: 'pre-data', excludeSchemas: ['left * "out'] });
    expect(pre).toContain('CREATE TABLE public.t');
    expect(pre).toContain('"left in out"');
    expect(pre).not.toMatch(/lockstep|left \* ""out/);
    const post = await dumpSchema(target, { section: 'post-data' });
    expect(post).toContain('ADD CONSTRAINT t_pkey PRIMARY KEY (id)');
    expect(post).not.toContain('PUBLICATION');
  });
});

describe('a schema dump that cannot be had', () => {
  let server: TestServer;
  let target: ConnectionTarget;
  const dump = (options: { deadlineMs?: number; signal?: AbortSignal } = {}, where = target) =>
    dumpSchema(where, { section: 'pre-data', ...options });

  beforeAll(async () => {
    server = await TestServer.shared(14);
    await server.freshDatabase('schema_dump_fails');
    await server.run('schema_dump_fails', 'create table t (id int)');
    target = server.target('schema_dump_fails');
  });
  afterAll(async () => server?.stop());

  it('says so when the login lacks a privilege', async () => {
    await server.run('schema_dump_fails', `create role schema_dump_nobody login password 'nobody-secret'`);
    try {
      const failed = dump({}, { ...target, user: 'schema_dump_nobody', password: 'nobody-secret' });
      await expect(failed).rejects.toMatchObject({ code: 'SERVER_PRIVILEGE_MISSING', options: { sqlstate: '42501' } });
    } finally {
      await server.run('schema_dump_fails', 'drop role schema_dump_nobody');
    }
  });

  it('says so when the password is wrong, without the password', async () => {
    const failed = dump({}, { ...target, password: 'planted-wrong-secret' });
    await expect(failed).rejects.toMatchObject({ code: 'SERVER_AUTHENTICATION_FAILED' });
    await expect(failed).rejects.not.toThrow(/planted/);
  });

  it('ends at its deadline and on abort, leaves no session, and works again', async () => {
    await server.withSession('schema_dump_fails', async (session) => {
      const watcher = await server.open();
      const dumpers = () =>
        watcher.rows(
          `select pid from pg_stat_activity where datname = 'schema_dump_fails' and application_name = 'lockstep schema dump'`,
        );
      await session.execute('begin; lock table public.t in access exclusive mode');
      await expect(dump({ deadlineMs: 600 })).rejects.toMatchObject({ code: 'SERVER_TIMEOUT' });
      const aborted = new AbortController();
      const failed = dump({ signal: aborted.signal });
      await Promise.race([
        failed.catch(() => {}),
        eventually(async () => (await dumpers()).length > 0, { within: 5000 }),
      ]);
      aborted.abort(new Error('enough'));
      await expect(failed).rejects.toThrow('enough');
      await eventually(async () => (await dumpers()).length === 0, { within: 5000 });
      await watcher.close();
      await session.execute('commit');
    });
    expect(await dump()).toContain('CREATE TABLE public.t');
  });

  it('says so when the connection is cut', async () => {
    await server.withSession('schema_dump_fails', async (session) => {
      await session.execute('begin; lock table public.t in access exclusive mode');
      const failed = dump().catch((error: unknown) => error);
      const watcher = await server.open();
      await eventually(
        async () =>
          (
            await watcher.rows(
              `select pg_terminate_backend(pid) from pg_stat_activity
                where application_name = 'lockstep schema dump' and wait_event_type = 'Lock' and datname = 'schema_dump_fails'`,
            )
          ).length > 0,
        { within: 5000 },
      );
      await watcher.close();
      await session.execute('commit');
      expect(await failed).toMatchObject({ code: 'SERVER_UNREACHABLE', options: { sqlstate: '57P01' } });
    });
  });
});

describe('a schema dump over TLS', () => {
  const folder = join(import.meta.dirname, '../support/tls');
  const ca = readFileSync(join(folder, 'server.crt'), 'utf8');
  let server: TestServer;

  beforeAll(async () => {
    server = await TestServer.start(17);
    await server.withSession('postgres', async (session) => {
      const write = (file: string, text: string) =>
        session.execute(
          `copy (select line from unnest(string_to_array(${literal(text)}, e'\\n')) as line) to program 'umask 077; cat > ${file}'`,
        );
      await session.execute('create table public.t (id int)');
      await write('server.crt', ca);
      await write('server.key', readFileSync(join(folder, 'server.key'), 'utf8'));
      await write('pg_hba.conf', 'hostssl all all 127.0.0.1/32 scram-sha-256');
      await session.execute(`alter system set ssl = on`);
      await session.execute('select pg_reload_conf()');
    });
  });
  afterAll(async () => server?.stop());

  it.each<[TlsSettings['mode'], string, boolean]>([
    ['prefer', 'localhost', false],
    ['require', 'localhost', false],
    ['verify-ca', '127.0.0.1', true],
    ['verify-full', 'localhost', true],
  ])('works with %s at %s, certificate authority given: %s', async (mode, host, given) => {
    const tls: TlsSettings = { mode, ...(given ? { ca } : {}) };
    const target = { ...server.target(), host, tls };
    // The reload reaches the postmaster a moment later.
    const dump = await eventually(() => dumpSchema(target, { section: 'pre-data' }), { within: 10_000 });
    expect(dump).toContain('CREATE TABLE public.t');
  });

  it.each<[TlsSettings['mode'], string, boolean, string]>([
    ['disable', '127.0.0.1', false, 'SERVER_AUTHENTICATION_FAILED'],
    ['verify-full', '127.0.0.1', true, 'SERVER_TLS_FAILED'],
    ['verify-full', 'localhost', false, 'SERVER_TLS_FAILED'],
  ])('is refused with %s at %s, certificate authority given: %s', async (mode, host, given, code) => {
    const target = { ...server.target(), host, tls: { mode, ...(given ? { ca } : {}) } };
    await expect(dumpSchema(target, { section: 'pre-data' })).rejects.toMatchObject({ code });
  });
});
