import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readTablesHidingRows } from '../../src/postgres/catalog/hidden-rows.js';
import { readSequence, readSequences } from '../../src/postgres/catalog/sequences-list.js';
import { readSubscriptionSlots } from '../../src/postgres/catalog/subscription-slots.js';
import { readSubscriptionConnections, readSubscriptions } from '../../src/postgres/catalog/subscriptions.js';
import { readIdentityIndexes } from '../../src/postgres/catalog/table-indexes.js';
import { readWriteCounts } from '../../src/postgres/catalog/table-writes.js';
import { readTable, readTables, type Table } from '../../src/postgres/catalog/tables.js';
import { runStatements } from '../../src/postgres/ddl/run-statements.js';
import { setReplicaIdentity } from '../../src/postgres/ddl/replica-identity.ddl.js';
import { Session } from '../../src/postgres/session.js';
import { eventually } from '../support/eventually.js';
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
  create domain "odd json" as json;
  create table full_odd (id int, a json[], b "odd json", c point, d text[], e jsonb, f varchar(3), g inet);
  alter table full_odd replica identity full;
  create table many (a int not null, b int, c int not null, d int not null, included int, gap int, primary key (a, c));
  alter table many drop column gap;
  alter table many add unique (d) deferrable;
  create unique index many_expression on many ((a + 1));
  create unique index many_fit on many (c, a) include (included);
  create unique index many_nullable on many (b, a);
  create unique index many_partial on many (a) where a > 0;
  create index many_plain on many (a);
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
    expect(named.full_set!.reason).toContain('values of "x" cannot be compared');
    expect(named.full_odd!.reason).toContain('values of "a", "b", "c" cannot');
    expect(brief(named['In dex'])).toEqual([true, 'default', false]);
    expect(brief(named.gone)).toEqual([true, 'index', false]);
    expect(named.scratch).toMatchObject({ replicable: false, persistence: 'unlogged' });
    expect(named.summary).toMatchObject({ replicable: false, kind: 'materialized-view' });
    expect(named.remote).toMatchObject({ replicable: false, kind: 'foreign' });
    expect(named.parent).toMatchObject({ kind: 'partitioned', replicable: true, reason: null, partitionOf: null });
    expect(named.child).toMatchObject({ partitionOf: { schema: 'public', name: 'parent' }, reason: null });
    expect(named.plain).toMatchObject({ rowsEstimate: 1000 });
    expect(named.plain!.totalBytes).toBeGreaterThan(8192);
    expect(named.plain!.tableBytes! + named.plain!.indexBytes!).toBe(named.plain!.totalBytes);
    expect(named.plain!.indexBytes).toBeGreaterThan(0);
    expect(named.parent!.totalBytes).toBe(0);
    expect(named.gone!.rowsEstimate).toBeNull();
  });

  it('tells of which tables row security hides rows from the login', async () => {
    await session.execute(
      `do $$ begin if not exists (select from pg_roles where rolname = '${role}') then create role ${role} login password 'reader'; end if; end $$;
       create schema hiding; grant usage on schema hiding to ${role};
       create table hiding.open (id int); create table hiding.secured (id int); create table hiding.own (id int);
       create table hiding.forced (id int);
       alter table hiding.own owner to ${role}; alter table hiding.forced owner to ${role};
       alter table hiding.secured enable row level security; alter table hiding.own enable row level security;
       alter table hiding.forced enable row level security; alter table hiding.forced force row level security`,
    );
    const tables = ['forced', 'open', 'own', 'secured', 'unknown'].map((name) => ({ schema: 'hiding', name }));
    expect(await readTablesHidingRows(session, tables)).toEqual([]);
    const reader = await Session.open({ ...server.target(database), user: role, password: 'reader' });
    const hiding = await readTablesHidingRows(reader, tables).finally(() => reader.close());
    expect(hiding).toEqual(['forced', 'secured'].map((name) => ({ schema: 'hiding', name, login: role })));
    await session.execute('drop schema hiding cascade');
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

  it('tells which index could be the replica identity, as the server itself judges', async () => {
    const table = { schema: 'public', name: 'many' };
    // Fails half way and stays, invalid.
    await session.execute('insert into public.many values (1, 1, 1, 1), (2, 1, 2, 2)');
    await expect(session.execute('create unique index concurrently many_broken on public.many (b)')).rejects.toThrow();
    const { oid } = (await readTable(session, table))!;
    const indexes = (await readIdentityIndexes(session, [oid, '1'])).get(oid)!;
    expect(indexes.map(({ name, reason }) => [name, reason?.split(':')[0] ?? null])).toEqual([
      ['many_broken', 'nullable'],
      ['many_d_key', 'it is deferrable, so that a key may be there twice for a while'],
      ['many_expression', 'it is over expressions, not columns alone'],
      ['many_fit', null],
      ['many_nullable', 'nullable'],
      ['many_partial', 'it is partial'],
      ['many_pkey', null],
      ['many_plain', 'it is not unique'],
    ]);
    expect(indexes.find(({ name }) => name === 'many_broken')!.reason).toContain('invalid');
    expect(indexes.find(({ name }) => name === 'many_fit')).toMatchObject({ columns: ['c', 'a'], fit: true });
    expect(indexes.find(({ name }) => name === 'many_expression')!.columns).toEqual([null]);
    for (const { name: index, fit } of indexes) {
      const setting = runStatements(session, setReplicaIdentity('public', 'many', { kind: 'index', index }));
      expect([index, await setting.then(() => true).catch(() => false)]).toEqual([index, fit]);
    }
  });

  it('reads what was written to a table, and when the counting began', async () => {
    await session.execute('create table public.written (id int primary key, n int)');
    const { oid } = (await readTable(session, { schema: 'public', name: 'written' }))!;
    const count = async () => (await readWriteCounts(session, [oid])).counts!.get(oid)!;
    const before = await count();
    expect(before).toMatchObject({ inserted: 0, updated: 0, deleted: 0 });
    await server.run(
      database,
      `insert into written select n, 0 from generate_series(1, 30) n; update written set n = 1 where id <= 20;
       delete from written where id <= 10`,
    );
    const after = await eventually(
      async () => {
        const seen = await count();
        return seen.deleted > 0 ? seen : undefined;
      },
      { within: 10_000 },
    );
    expect(after).toMatchObject({ inserted: 30, updated: 20, deleted: 10 });
    expect(after.readAt).toBeGreaterThan(before.readAt);
    await server.run(database, `select pg_stat_reset_single_table_counters('written'::regclass)`);
    const reset = await eventually(
      async () => {
        const seen = await count();
        // Before 15 the collector writes both, not always at once.
        return seen.inserted === 0 && seen.since?.getTime() !== after.since?.getTime() ? seen : undefined;
      },
      { within: 10_000 },
    );
    expect(reset.since?.getTime()).not.toBe(after.since?.getTime());
    await session.execute('set track_counts = off');
    expect(await readWriteCounts(session, [oid])).toEqual({ counts: null, unknown: expect.stringContaining('track') });
    await session.execute('reset track_counts');
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
    expect(sequences.set_only).toMatchObject({ lastValue: '41', isCalled: false, reason: null });
    expect(sequences.owner_id_seq).toMatchObject({ lastValue: '1', isCalled: false, settable: true });
    expect(sequences.owner_id_seq!.ownedBy).toEqual({
      ...{ schema: 'public', name: 'owner', column: 'id' },
      ...{ columnType: 'integer', identity: true },
    });
    expect(sequences.owner_n_seq!.ownedBy).toMatchObject({ column: 'n', identity: false });
    const one = await readSequence(session, { schema: 'public', name: 'set_only' });
    expect(one).toEqual(sequences.set_only);
    expect(await readSequence(session, { schema: 'public', name: 'absent' })).toBeNull();
  });

  it('does not wait for a locked sequence to tell where it stands', async () => {
    const holder = await server.open(database);
    await holder.execute('begin; drop sequence public.used');
    await session.execute(`set statement_timeout = '2s'`);
    expect(await readSequence(session, { schema: 'public', name: 'used' })).toMatchObject({
      lastValue: null,
      isCalled: null,
      reason: expect.stringContaining('locks'),
    });
    expect(await readSequences(session)).toHaveLength(5);
    await holder.execute('rollback');
    await holder.close();
  });

  it('answers an ordinary login, saying what it may not see', async () => {
    await session.execute(`
      do $$ begin if not exists (select from pg_roles where rolname = '${role}') then create role ${role} login password 'reader'; end if; end $$;
      create subscription tables_sub connection 'host=h password=hidden' publication p with (connect = false, slot_name = none)`);
    const reader = await Session.open({ ...server.target(database), user: role, password: 'reader' });
    if (major === 13) {
      // 13 lets ordinary logins read neither oid nor subsynccommit of pg_subscription.
      const hint = `In the database "${database}": grant select (oid, subsynccommit) on pg_catalog.pg_subscription to "${role}";`;
      const refusal = { code: 'SERVER_PRIVILEGE_MISSING', options: { hint } };
      for (const read of [readSubscriptions, readSubscriptionSlots]) {
        await expect(read(reader)).rejects.toMatchObject(refusal);
      }
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
      settable: false,
      reason: expect.stringContaining('grant select on sequence'),
    });
    expect((await readTables(reader)).length).toBe((await readTables(session)).length);
    await reader.close();
    expect((await readSubscriptionConnections(session))!.get('tables_sub')).toContain('hidden');
    await session.execute('drop subscription tables_sub');
  });
});
