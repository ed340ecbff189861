import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Publication, readPublications } from '../../src/postgres/catalog/publications.js';
import * as publication from '../../src/postgres/ddl/publication.ddl.js';
import { setReplicaIdentity } from '../../src/postgres/ddl/replica-identity.ddl.js';
import * as slot from '../../src/postgres/ddl/replication-slot.ddl.js';
import { setSequencePositions } from '../../src/postgres/ddl/sequence-position.ddl.js';
import type { Statement } from '../../src/postgres/ddl/statement.js';
import * as subscription from '../../src/postgres/ddl/subscription.ddl.js';
import * as change from '../../src/postgres/ddl/table-change.ddl.js';
import type { Session } from '../../src/postgres/session.js';
import { parseLsn } from '../../src/shared/lsn.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'statement_locks';
const OBJECTS = `
  create schema app;
  create table app.t (id int primary key, other int not null, text text, plain int,
    constraint positive check (other > 0));
  create unique index by_other on app.t (other);
  create table app.u (id int primary key, made int generated always as (id * 2) stored);
  create table app.parted (id int primary key) partition by range (id);
  create table app.part partition of app.parted for values from (0) to (10);
  create sequence app.s;
  create type app.mood as enum ('good');
  create type app.pair as (a int);
  create domain app.small as int not null constraint low check (value < 10);
  create table app.uses (mood app.mood, pair app.pair, small app.small);
  create function app.noop() returns trigger language plpgsql as 'begin return new; end';
  create trigger fires before insert on app.t for each row execute function app.noop();
  create publication p for table only app.t;
  create publication everything for all tables;
  create subscription off connection 'host=127.0.0.1 port=1' publication p
    with (connect = false, slot_name = 'none_such');`;
const T = { schema: 'app', name: 't' };
const U = { schema: 'app', name: 'u' };
const LATER = { name: 'later', type: 'integer', collation: null, notNull: false, default: null };

interface Given {
  version: number;
  p: Publication;
  /** To this very server. */
  connection: string;
}
interface Case {
  make: (given: Given) => Statement[];
  since?: number;
  /** Run before it in its transaction. */
  before?: string;
}

/** Every builder of statements that may run inside a transaction. */
const CASES: Record<string, Case> = {
  'create publication': {
    make: ({ version }) =>
      publication.createPublication(
        { name: 'q', target: { kind: 'tables', tables: [{ ...T, columns: null, where: null }] } },
        version,
      ),
  },
  'create publication for all tables': {
    make: ({ version }) => publication.createPublication({ name: 'q', target: { kind: 'allTables' } }, version),
  },
  'alter publication: tables': {
    make: ({ p, version }) =>
      publication.alterPublication(
        p,
        { target: { kind: 'tables', tables: [{ ...U, columns: null, where: null }] } },
        version,
      ),
  },
  'alter publication: options': {
    make: ({ p, version }) => publication.alterPublication(p, { publish: ['insert'] }, version),
  },
  'alter publication: owner': {
    make: ({ p, version }) => publication.alterPublication(p, { owner: 'pg_monitor' }, version),
  },
  'alter publication: name': {
    make: ({ p, version }) => publication.alterPublication(p, { name: 'renamed' }, version),
  },
  'empty publication': { make: ({ p }) => publication.emptyPublication(p) },
  'drop publication': { make: () => publication.dropPublication('p') },
  'replica identity full': { make: () => setReplicaIdentity('app', 't', { kind: 'full' }) },
  'replica identity index': { make: () => setReplicaIdentity('app', 't', { kind: 'index', index: 'by_other' }) },
  'sequence positions': {
    make: () => setSequencePositions([{ schema: 'app', name: 's', lastValue: '7', isCalled: true }]),
  },
  'create subscription, its slot there': {
    make: ({ connection, version }) =>
      subscription.createSubscription(
        {
          ...{ name: 'sub', connection, publications: ['everything'] },
          options: { enabled: false, createSlot: false, slotName: 'none_such', copyData: false },
        },
        version,
      ),
  },
  'subscription options': {
    make: ({ version }) => subscription.setSubscriptionOptions('off', { synchronousCommit: 'local' }, version),
  },
  'subscription publications': {
    make: () => subscription.setSubscriptionPublications('off', ['q'], { refresh: false }),
  },
  'subscription connection': { make: () => subscription.setSubscriptionConnection('off', 'host=127.0.0.1 port=2') },
  'enable subscription': { make: () => subscription.enableSubscription('off') },
  'disable subscription': { make: () => subscription.disableSubscription('off') },
  skip: { make: ({ version }) => subscription.skipTransaction('off', parseLsn('0/77'), version), since: 15 },
  'rename subscription': { make: () => subscription.renameSubscription('off', 'other') },
  'subscription owner': { make: () => subscription.changeSubscriptionOwner('off', 'postgres') },
  'drop subscription keeping its slot': { make: () => subscription.dropSubscriptionKeepingSlot('off') },
  'drop subscription unheard': { make: ({ version }) => subscription.dropSubscriptionUnheard('off', version) },
  'create schema': { make: () => [change.createSchema('further')] },
  'create enum': { make: () => [change.createEnum(['app', 'kind'], ['a'])] },
  'add enum label': { make: () => [change.addEnumLabel(['app', 'mood'], 'bad', { after: 'good', first: null })] },
  'add attribute': { make: () => [change.addAttribute(['app', 'pair'], 'b', 'int')] },
  'create table': { make: () => [change.createTable({ schema: 'app', name: 'w' }, [LATER], [])] },
  'create partition': {
    make: () => [
      change.createPartition(
        { schema: 'app', name: 'part2' },
        { schema: 'app', name: 'parted' },
        'for values from (10) to (20)',
        null,
      ),
    ],
  },
  'detach partition': {
    make: () => [change.detachPartition({ schema: 'app', name: 'parted' }, { schema: 'app', name: 'part' })],
  },
  'no force row security': { make: () => [change.noForceRowSecurity(T)] },
  'bypass row security': {
    make: () => [change.bypassRowSecurity('lockstep_locks')],
    before: 'create role lockstep_locks',
  },
  'rename table': { make: () => change.renameTable(T, { schema: 'public', name: 'elsewhere' }) },
  'add column': { make: () => [change.addColumn(T, LATER)] },
  'drop column': { make: () => [change.dropColumn(T, 'plain')] },
  'rename column': { make: () => [change.renameColumn(T, 'plain', 'fancy')] },
  'change column type': {
    make: () => [change.changeColumnType(T, { name: 'plain', type: 'bigint', collation: null }, false)],
  },
  'drop not null': { make: () => [change.dropNotNull(T, 'other')] },
  'set not null': { make: () => [change.setNotNull(T, 'plain')] },
  'drop expression': { make: () => [change.dropExpression(U, 'made')] },
  'add primary key': { make: () => [change.addPrimaryKey({ schema: 'app', name: 'uses' }, ['small'])] },
  'identify by an index': { make: () => change.identifyBy(T, 'by_id', ['id']) },
  'drop key: index': { make: () => [change.dropKey(T, { name: 'by_other', constraint: false })] },
  'drop key: constraint': { make: () => [change.dropKey(T, { name: 't_pkey', constraint: true })] },
  'drop constraint': { make: () => [change.dropConstraint(T, 'positive')] },
  'add check': { make: () => [change.addCheck(T, 'new_check', 'other < 100')] },
  'add constraint': { make: () => [change.addConstraint(T, 'new_unique', 'unique (plain)')] },
  'create index': { make: () => [change.createIndex('create unique index by_plain on app.t (plain)')] },
  'drop domain constraint': {
    make: () => [change.dropDomainConstraint({ schema: 'app', name: 'small' }, 'low')],
  },
  'drop domain not null': { make: () => [change.dropDomainConstraint({ schema: 'app', name: 'small' }, null)] },
  'fire for own writes': { make: () => [change.fireForOwnWrites(T, 'fires')] },
  'disable trigger': { make: () => [change.disableTrigger(T, 'fires')] },
  'set expression': { make: () => [change.setExpression(U, 'made', 'id * 3')], since: 17 },
  'add generated': { make: () => [change.addGenerated(T, { ...LATER, name: 'made' }, 'other * 2')] },
};

/** Those that the server refuses inside one. */
const ALONE: Record<string, Case> = {
  'create subscription with its slot': {
    make: ({ connection, version }) =>
      subscription.createSubscription({ name: 'sub', connection, publications: ['p'] }, version),
  },
  'refresh subscription': {
    since: 14,
    make: () => subscription.refreshSubscription('off'),
    before: 'alter subscription off enable',
  },
  'subscription publications, refreshed': {
    since: 14,
    make: () => subscription.setSubscriptionPublications('off', ['q'], { refresh: true }),
    before: 'alter subscription off enable',
  },
  'drop subscription with its slot': { make: () => subscription.dropSubscription('off', true) },
  'subscription failover': {
    make: ({ version }) => subscription.setSubscriptionOptions('off', { failover: true }, version),
    since: 17,
  },
  'subscription two-phase': {
    make: ({ version }) => subscription.setSubscriptionOptions('off', { twoPhase: false }, version),
    since: 18,
    before: 'alter subscription off set (two_phase = true)',
  },
  'create logical slot': {
    make: ({ version }) => slot.createReplicationSlot({ name: 'sl', kind: 'logical' }, version),
    before: 'create table app.written ()',
  },
};

/** By strength. */
const MODES = [
  ...['AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock'],
  ...['ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'],
];
const inWords = (mode: string) =>
  mode
    .replace(/Lock$/, '')
    .replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ')
    .toUpperCase();
const strongest = (modes: string[]): string | null =>
  MODES.map(inWords).findLast((mode) => modes.includes(mode)) ?? null;

/** What the words of a lock say of tables and sequences, and of the object itself. */
function said(statements: Statement[], major: number): { tables: string | null; object: string | null } {
  const parts = statements.flatMap(({ lock }) =>
    lock.split(';').flatMap((part) => {
      const [, since = '0', what] = /^ *(?:from (\d+) on )?(.*)$/.exec(part)!;
      return Number(since) <= major ? [what!] : [];
    }),
  );
  const modesOn = (what: RegExp) =>
    strongest(
      parts.flatMap((part) => {
        const [, mode, on] = /^([A-Z][A-Z ]*[A-Z]) on (.*)$/.exec(part) ?? [];
        return mode !== undefined && what.test(on!) ? [mode] : [];
      }),
    );
  return { tables: modesOn(/table|sequence/), object: modesOn(/^the (publication|subscription|type|domain)\b/) };
}

describe.each(AVAILABLE_MAJORS)('what a statement is said to lock, on PostgreSQL %i', (major) => {
  let server: TestServer;
  let session: Session;
  let given: Given;

  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase(DATABASE);
    session = await server.open(DATABASE);
    await session.execute(OBJECTS);
    const [p] = await readPublications(session, 'p');
    const { host, port, user, password } = server;
    given = {
      version: session.versionNum,
      p: p!,
      connection: `host=${host} port=${port} dbname=${DATABASE} user=${user} password=${password}`,
    };
  });
  afterAll(async () => {
    await session?.execute('alter subscription off set (slot_name = none)');
    await session?.execute('drop subscription off');
    await session?.close();
    await server?.stop();
  });

  async function locks(there: string[]): Promise<{ tables: string | null; object: string | null }> {
    const rows = await session.rows<{ of: 'tables' | 'object'; mode: string }>(
      `select case when c.relkind in ('r', 'p', 'S') then 'tables' else 'object' end as of, l.mode
         from pg_locks l left join pg_class c on l.locktype = 'relation' and c.oid = l.relation
        where l.pid = pg_backend_pid() and l.granted
          and (c.oid::text = any ($1::text[])
               or (l.locktype = 'object'
                   and l.classid in ('pg_publication'::regclass, 'pg_subscription'::regclass, 'pg_type'::regclass)
                   and l.classid || '/' || l.objid = any ($1::text[])))`,
      [there],
    );
    const of = (what: string) => strongest(rows.filter((row) => row.of === what).map(({ mode }) => inWords(mode)));
    return { tables: of('tables'), object: of('object') };
  }

  /** Relations, publications, subscriptions and types that are there before. */
  async function existing(): Promise<string[]> {
    const rows = await session.rows<{ key: string }>(
      `select c.oid::text as key from pg_class c
        where c.relnamespace = 'app'::regnamespace and c.relkind in ('r', 'p', 'S', 'c')
        union all select 'pg_publication'::regclass::oid || '/' || oid from pg_publication
        union all select 'pg_subscription'::regclass::oid || '/' || oid from pg_subscription
        union all select 'pg_type'::regclass::oid || '/' || oid from pg_type where typnamespace = 'app'::regnamespace`,
    );
    return rows.map(({ key }) => key);
  }

  const known = (cases: Record<string, Case>) => Object.entries(cases).filter(([, { since = 13 }]) => since <= major);

  it.each(known(CASES))('%s', async (_name, { make, before }) => {
    const there = await existing();
    const statements = make(given);
    expect(statements.map(({ transactional }) => transactional)).not.toContain(false);
    await session.execute('begin');
    try {
      if (before) await session.execute(before);
      for (const { sql } of statements) await session.execute(sql);
      expect(await locks(there)).toEqual(said(statements, major));
    } finally {
      await session.execute('rollback');
    }
  });

  it.each(known(ALONE))('%s is refused in a transaction', async (_name, { make, before }) => {
    const [statement] = make(given);
    expect(statement!.transactional).toBe(false);
    await session.execute('begin');
    try {
      if (before) await session.execute(before);
      await expect(session.execute(statement!.sql)).rejects.toMatchObject({ options: { sqlstate: '25001' } });
    } finally {
      await session.execute('rollback');
    }
  });
});

it('every builder of these is among the cases', () => {
  const text = JSON.stringify([...Object.values(CASES), ...Object.values(ALONE)].map(({ make }) => String(make)));
  const builders = [publication, subscription, change].flatMap((module) => Object.keys(module));
  /** Checks, and builders that are others with other words. */
  const none = [
    'canBeAskedFor',
    'checkPublicationList',
    'takeTablesOut',
    'changeSubscriptionPublications',
    'mendIdentity',
  ];
  expect(builders.filter((name) => !text.includes(name) && !none.includes(name))).toEqual([]);
});
