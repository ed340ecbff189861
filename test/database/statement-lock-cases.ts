import type { Publication } from '../../src/postgres/catalog/publications.js';
import * as publication from '../../src/postgres/ddl/publication.ddl.js';
import * as identity from '../../src/postgres/ddl/replica-identity.ddl.js';
import * as slot from '../../src/postgres/ddl/replication-slot.ddl.js';
import * as sequence from '../../src/postgres/ddl/sequence-position.ddl.js';
import type { Statement } from '../../src/postgres/ddl/statement.js';
import * as subscription from '../../src/postgres/ddl/subscription.ddl.js';
import * as change from '../../src/postgres/ddl/table-change.ddl.js';
import { type Lsn, parseLsn } from '../../src/shared/lsn.js';

export const OBJECTS = `
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

export interface Given {
  version: number;
  p: Publication;
  /** To this very server. */
  connection: string;
  /** Where its WAL is. */
  lsn: Lsn;
}
export interface Case {
  make: (given: Given) => Statement[];
  since?: number;
  /** Run before it in its transaction. */
  before?: string;
}

/** Every builder of statements that may run inside a transaction. */
export const CASES: Record<string, Case> = {
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
  'replica identity full': { make: () => identity.setReplicaIdentity('app', 't', { kind: 'full' }) },
  'replica identity index': {
    make: () => identity.setReplicaIdentity('app', 't', { kind: 'index', index: 'by_other' }),
  },
  'sequence positions': {
    make: () => sequence.setSequencePositions([{ schema: 'app', name: 's', lastValue: '7', isCalled: true }]),
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
export const ALONE: Record<string, Case> = {
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

/** Those that no rollback undoes, though the server takes them inside a transaction. */
export const LASTING: Record<string, Case & { leaves: string[] }> = {
  'create physical slot': {
    make: ({ version }) => slot.createReplicationSlot({ name: 'locks_new', kind: 'physical' }, version),
    leaves: ['locks_new', 'locks_old'],
  },
  'copy slot': {
    make: () => slot.copyReplicationSlot({ name: 'locks_old', kind: 'physical' }, { name: 'locks_copy' }),
    leaves: ['locks_copy', 'locks_old'],
  },
  'advance slot': { make: ({ lsn }) => slot.advanceReplicationSlot('locks_old', lsn), leaves: ['locks_old'] },
  'drop slot': { make: () => slot.dropReplicationSlot('locks_old'), leaves: [] },
};

const READY = { createSlot: false, slotName: 'none_such', copyData: true } as const;
/** Asks to forget the table `u`, whose copy has not begun, and to take up `t`. */
const CHANGED = 'alter publication changing drop table app.u; alter publication changing add table app.t';
/** Those that the server refuses inside one and that ask the publisher: held up by it after all their locks. */
export const HELD: Record<string, Case & { at: string; there?: (given: Given) => Statement[]; meanwhile?: string }> = {
  'create subscription with its slot': {
    make: ({ connection, version }) =>
      subscription.createSubscription({ name: 'held', connection, publications: ['changing'] }, version),
    at: 'CREATE_REPLICATION_SLOT',
  },
  ...Object.fromEntries(
    (
      [
        ['refresh subscription', () => subscription.refreshSubscription('held')],
        [
          'subscription publications, refreshed',
          () => subscription.setSubscriptionPublications('held', ['changing'], { refresh: true }),
        ],
      ] as const
    ).map(([name, make]) => [
      name,
      {
        make,
        // 13 has no slots of tables that it would ask its publisher to drop.
        since: 14,
        there: ({ connection, version }: Given) =>
          subscription.createSubscription(
            { name: 'held', connection, publications: ['changing'], options: { ...READY, enabled: true } },
            version,
          ),
        meanwhile: CHANGED,
        at: 'DROP_REPLICATION_SLOT',
      },
    ]),
  ),
  'drop subscription with its slot': {
    make: () => subscription.dropSubscription('held', true),
    there: ({ connection, version }) =>
      subscription.createSubscription(
        { name: 'held', connection, publications: ['changing'], options: { ...READY, enabled: false } },
        version,
      ),
    at: 'DROP_REPLICATION_SLOT',
  },
};
