import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readSequences } from '../../src/postgres/catalog/sequences-list.js';
import { readSubscriptionConnections, readSubscriptions } from '../../src/postgres/catalog/subscriptions.js';
import { readTable, readTables, type Table } from '../../src/postgres/catalog/tables.js';
import { runStatements } from '../../src/postgres/ddl/run-statements.js';
import { setReplicaIdentity } from '../../src/postgres/ddl/replica-identity.ddl.js';
import { Session } from '../../src/postgres/session.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const SCHEMA = `
  create table plain (id int primary key, note text);
  create table late_key (id int primary key deferrable);
  create table none_set (id int primary key);
  alter table none_set replica identity nothing;
  create table full_set (x json);
  alter table full_set replica identity full;
  create table "In dex" (a int not null, b int not null);
  create unique index "the ""index""" on "In dex" (b);
  create table gone (a int not null unique);
  alter table gone replica identity using index gone_a_key;
  alter table gone drop constraint gone_a_key;
  create unlogged table scratch (id int primary key);
  create materialized view summary as select 1 as one;
  create foreign data wrapper dummy;
  create server elsewhere foreign data wrapper dummy;
  create foreign table remote (id int) server elsewhere;
  create table parent (day date, primary key (day)) partition by range (day);
  create table child partition of parent for values from ('2025-01-01') to ('2026-01-01');
  create schema lockstep;
  create table lockstep.marker (id int);
  create sequence used; select nextval('used'); select nextval('used');
  create sequence set_only; select setval('set_only', 41, false);
  create sequence huge minvalue -9223372036854775808 start -9223372036854775808;
  select nextval('huge');
  create table owner (id int generated always as identity, n serial);
  create sequence lockstep.ours;`;

describe.each(AVAILABLE_MAJORS)('tables and sequences on PostgreSQL %i', (major) => {
  const database = 'tables_catalog';
  const role = 'tables_catalog_reader';
  let server: TestServer;
  let session: Session;

  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase(database);
    await server.run(database, SCHEMA);
    session = await server.open(database);
  });
  afterAll(async () => {
    await session.execute(`drop owned by ${role}; drop role ${role}`).catch(() => {});
    await session.close();
    await server.stop();
  });

  it('tells for every table what is in the way', async () => {
    await session.execute('insert into public.plain select n from generate_series(1, 1000) n; analyze public.plain');
    const tables = await readTables(session);
    const named = Object.fromEntries(tables.map((table) => [table.name, table]));
    expect(tables.some(({ schema }) => schema !== 'public')).toBe(false);
    const brief = (table?: Table) => [table?.replicable, table?.replicaIdentity.kind, table?.replicaIdentity.usable];
    expect(brief(named.plain)).toEqual([true, 'default', true]);
    expect(brief(named.late_key)).toEqual([true, 'default', false]);
    expect(named.late_key!.reason).toContain('deferrable');
    expect(named.late_key!.primaryKey).toBe('late_key_pkey');
    expect(brief(named.none_set)).toEqual([true, 'nothing', false]);
    expect(brief(named.full_set)).toEqual([true, 'full', true]);
    expect(brief(named['In dex'])).toEqual([true, 'default', false]);
    expect(brief(named.gone)).toEqual([true, 'index', false]);
    expect(named.scratch).toMatchObject({ replicable: false, persistence: 'unlogged' });
    expect(named.summary).toMatchObject({ replicable: false, kind: 'materialized-view' });
    expect(named.remote).toMatchObject({ replicable: false, kind: 'foreign' });
    expect(named.parent).toMatchObject({ kind: 'partitioned', replicable: true, reason: null, partitionOf: null });
    expect(named.child).toMatchObject({ partitionOf: { schema: 'public', name: 'parent' }, reason: null });
    expect(named.plain).toMatchObject({ rowsEstimate: 1000 });
    expect(named.plain!.totalBytes).toBeGreaterThan(8192);
    expect(named.gone!.rowsEstimate).toBeNull();
  });

  it('pages through everything once, in order', async () => {
    const all = await readTables(session);
    const paged: Table[] = [];
    for (;;) {
      const page = await readTables(session, { after: paged.at(-1), limit: 3 });
      paged.push(...page);
      if (page.length < 3) break;
    }
    expect(paged).toEqual(all);
  });

  it('does not wait for a locked table to tell its size', async () => {
    const holder = await server.open(database);
    await holder.execute('begin; lock table public.plain in access exclusive mode');
    await session.execute(`set statement_timeout = '2s'`);
    expect((await readTable(session, { schema: 'public', name: 'plain' }))!.totalBytes).toBeNull();
    await holder.execute('rollback');
    await holder.close();
    expect((await readTable(session, { schema: 'public', name: 'plain' }))!.totalBytes).toBeGreaterThan(0);
  });

  it('sets every replica identity', async () => {
    const set = (spec: Parameters<typeof setReplicaIdentity>[2]) => {
      const [statement] = setReplicaIdentity('public', 'In dex', spec);
      return runStatements(session, [statement!]).then(() => readTable(session, { schema: 'public', name: 'In dex' }));
    };
    expect(setReplicaIdentity('public', 'In dex', { kind: 'index', index: 'the "index"' })[0]!.sql).toBe(
      'alter table "public"."In dex" replica identity using index "the ""index"""',
    );
    expect((await set({ kind: 'index', index: 'the "index"' }))!.replicaIdentity).toEqual({
      kind: 'index',
      index: 'the "index"',
      usable: true,
    });
    expect((await set({ kind: 'full' }))!.replicaIdentity).toMatchObject({ kind: 'full', usable: true });
    expect((await set({ kind: 'nothing' }))!.replicaIdentity).toMatchObject({ kind: 'nothing', usable: false });
    expect((await set({ kind: 'default' }))!.replicaIdentity).toMatchObject({ kind: 'default', usable: false });
  });

  it('reads sequences, unknown never shown as a value', async () => {
    const sequences = Object.fromEntries((await readSequences(session)).map((sequence) => [sequence.name, sequence]));
    expect(Object.keys(sequences).sort()).toEqual(['huge', 'owner_id_seq', 'owner_n_seq', 'set_only', 'used']);
    expect(sequences.used).toMatchObject({ lastValue: '2', isCalled: true, reason: null });
    expect(sequences.huge).toMatchObject({ lastValue: '-9223372036854775808', minimum: '-9223372036854775808' });
    expect(sequences.set_only).toMatchObject(
      major >= 18 ? { lastValue: '41', isCalled: false, reason: null } : { lastValue: null, isCalled: false },
    );
    expect(sequences.owner_id_seq!.ownedBy).toEqual({ schema: 'public', name: 'owner', column: 'id', identity: true });
    expect(sequences.owner_n_seq!.ownedBy).toMatchObject({ column: 'n', identity: false });
  });

  it('answers an ordinary login, saying what it may not see', async () => {
    await session.execute(`
      do $$ begin if not exists (select from pg_roles where rolname = '${role}') then create role ${role} login password 'reader'; end if; end $$;
      create subscription tables_sub connection 'host=h password=hidden' publication p with (connect = false, slot_name = none)`);
    const reader = await Session.open({ ...server.target(database), user: role, password: 'reader' });
    if (major === 13) {
      // 13 lets ordinary logins read neither oid nor subsynccommit of pg_subscription.
      await expect(readSubscriptions(reader)).rejects.toMatchObject({ code: 'SERVER_PRIVILEGE_MISSING' });
    } else {
      const [subscription] = await readSubscriptions(reader);
      expect(subscription).toMatchObject({
        name: 'tables_sub',
        enabled: false,
        originLsn: null,
        originReadable: false,
      });
    }
    expect(await readSubscriptionConnections(reader)).toBeNull();
    const [sequence] = await readSequences(reader);
    expect(sequence).toMatchObject({
      lastValue: null,
      isCalled: null,
      reason: expect.stringContaining('lacks SELECT'),
    });
    expect((await readTables(reader)).length).toBe((await readTables(session)).length);
    await reader.close();
    expect((await readSubscriptionConnections(session))!.get('tables_sub')).toContain('hidden');
    await session.execute('drop subscription tables_sub');
  });
});
