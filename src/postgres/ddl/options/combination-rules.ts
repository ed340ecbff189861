import { Problem } from '../../../problems/problem.js';
import type { ErrorCode } from '../../../problems/error-codes.js';
import type { InputError } from '../../../problems/problem.js';

/** What must hold beyond the version of a single option, and what to do where it does not. Plain data. */
export interface CombinationRule {
  on: 'publication' | 'subscription' | 'slot';
  says: string;
  instead: string;
  /**
   * When it shows. `request`: from the request alone, before any connection. `state`: from what is on the server,
   * before anything is changed. `server`: the server says it. `note`: nothing is refused, but it should be known.
   */
  seen: 'request' | 'state' | 'server' | 'note';
}

/** The rules that refusals name (`rule` of the problem), and what is worth knowing although nothing is refused. */
export const COMBINATION_RULES = {
  version: {
    on: 'publication',
    says: 'An option needs the version that brought it; the problem names it as `minimumVersion`. So for subscriptions and slots.',
    instead: 'What the table above says for the option.',
    seen: 'request',
  },
  'all-tables-stays': {
    on: 'publication',
    says: 'A publication of all tables stays one, and one of a list never becomes one.',
    instead:
      'Create a second publication with the other target, add it to the subscriptions, then take this one out of them.',
    seen: 'state',
  },
  'columns-exclude-schemas': {
    on: 'publication',
    says: 'Column lists and schemas exclude each other in one publication.',
    instead: 'Publish the schema and the tables with column lists in two publications.',
    seen: 'request',
  },
  'table-listed': {
    on: 'publication',
    says: 'What is taken out must be listed, and what is added must not be listed with other columns or another filter.',
    instead: 'Give it as setTables to replace its columns and filter.',
    seen: 'state',
  },
  publishable: {
    on: 'publication',
    says: 'Only permanent tables and partitioned tables can be published: no view, foreign, unlogged, temporary or system table.',
    instead: 'Leave it out, or make it a permanent table: alter table ... set logged.',
    seen: 'state',
  },
  'known-objects': {
    on: 'publication',
    says: 'Every table, schema and column that is named must exist.',
    instead: 'Names are case-sensitive and taken as they are, without quotes.',
    seen: 'state',
  },
  'columns-can-be-sent': {
    on: 'publication',
    says: 'A column list names no generated column before 18, and no virtual one ever.',
    instead: 'Leave the column out: the subscriber computes it.',
    seen: 'state',
  },
  'root-lists-need-via-root': {
    on: 'publication',
    says: 'The column list or row filter of a partitioned table needs viaPartitionRoot.',
    instead: 'Set viaPartitionRoot to true, or list the partitions with columns and filter of their own.',
    seen: 'state',
  },
  'filter-within-identity': {
    on: 'publication',
    says: 'Where updates or deletes are published, a row filter uses columns of the replica identity only: else each of them fails on the publisher.',
    instead:
      'Filter by columns of the replica identity, set the replica identity to full, or publish inserts and truncates only.',
    seen: 'state',
  },
  'columns-hold-identity': {
    on: 'publication',
    says: 'Where updates or deletes are published, a column list holds every column of the replica identity: else each of them fails on the publisher. With replica identity full, none can.',
    instead:
      'Add the columns of the replica identity to the list, use a smaller replica identity, or publish inserts and truncates only.',
    seen: 'state',
  },
  'identity-is-published': {
    on: 'publication',
    says: 'From 18 on, updates and deletes that are published fail on the publisher for each table whose replica identity has a generated column that is not. Not refused: such a table may take inserts only.',
    instead: 'Set generatedColumns to stored, name the column in a column list, or use another replica identity.',
    seen: 'note',
  },
  'identity-usable': {
    on: 'publication',
    says: 'Where updates or deletes are published, they fail on the publisher for each table without replica identity. Not refused: such a table may take inserts only.',
    instead: 'Set a replica identity before: the warning shows the SQL.',
    seen: 'note',
  },
  'full-compares': {
    on: 'publication',
    says: 'With replica identity full, a subscriber whose table has no primary key or replica identity index finds rows by comparing every column, and stops where a type has no equality: json, xml, point and the like, also inside arrays, domains and composite types.',
    instead: 'Give the table a primary key, or let a unique index on NOT NULL columns be its replica identity.',
    seen: 'note',
  },
  'superuser-owns-all': {
    on: 'publication',
    says: 'Only superusers create a publication of all tables or of schemas, or give one to a role that is none.',
    instead: 'List the tables, or let a superuser do it.',
    seen: 'state',
  },
  'owner-of-tables': {
    on: 'publication',
    says: 'Only an owner of a table can publish it.',
    instead: "Grant membership in the table's owner, as the hint shows.",
    seen: 'state',
  },
  'create-on-database': {
    on: 'publication',
    says: 'Whoever creates a publication, or becomes its owner, needs CREATE on the database.',
    instead: 'Grant it, as the hint shows.',
    seen: 'state',
  },
  'filter-expression': {
    on: 'publication',
    says: "A row filter is one expression of the table's own columns and built-in immutable functions: no user-defined functions, operators, types or collations, no system columns, no subqueries.",
    instead: 'Filter by a column that holds what the expression computes.',
    seen: 'server',
  },
  'filters-are-ored': {
    on: 'publication',
    says: 'Row filters of several publications of one subscription are ORed, and vanish where one of them has none for the table. TRUNCATE knows no filter.',
    instead: 'Subscribe to one publication per table.',
    seen: 'note',
  },
  'subscribers-refresh': {
    on: 'publication',
    says: 'A subscriber learns of tables that join only when its subscription is refreshed.',
    instead: 'POST .../subscriptions/{subscription}/refresh on each subscriber.',
    seen: 'note',
  },
  'subscribers-know-names': {
    on: 'publication',
    says: 'Subscriptions name publications: one that is renamed or dropped stops them with an error.',
    instead: 'Give the subscriptions the new name first thing afterwards.',
    seen: 'note',
  },
  'wal-level': {
    on: 'publication',
    says: 'A publication can be made with any wal_level, but up to 18 nothing is sent unless it is logical.',
    instead: 'alter system set wal_level = logical, and restart the server.',
    seen: 'note',
  },
  'no-slot-disabled': {
    on: 'subscription',
    says: 'A subscription without a slot is created disabled.',
    instead: 'Create it disabled and without a slot, set slotName later, then enable it.',
    seen: 'request',
  },
  'no-slot-not-created': {
    on: 'subscription',
    says: 'A subscription without a slot cannot create one.',
    instead: 'Give createSlot false, or a slotName.',
    seen: 'request',
  },
  'slot-name': {
    on: 'slot',
    says: 'A slot name is 1 to 63 characters of a-z, 0-9 and _; "none" means no slot to a subscription, and "pg_conflict_detection" is the server\'s own.',
    instead: 'Choose another name. Null for a subscription without a slot.',
    seen: 'request',
  },
  'slot-name-or-two-phase': {
    on: 'subscription',
    says: 'slotName is not changed together with twoPhase that becomes false, which changes the slot; with twoPhase that becomes true it is.',
    instead: 'Change one after the other.',
    seen: 'state',
  },
  'only-at-creation': {
    on: 'subscription',
    says: 'enabled, copyData and createSlot are of the creation only.',
    instead: 'Enable and disable; refresh with copyData; create a slot by itself.',
    seen: 'request',
  },
  'publications-listed': {
    on: 'subscription',
    says: 'A subscription keeps at least one publication, and names none twice.',
    instead: 'Drop the subscription to end it.',
    seen: 'request',
  },
  'name-can-be-asked-for': {
    on: 'subscription',
    says: 'A subscription to a publication whose name holds a backslash never streams: its worker writes the name in a form that the replication protocol does not know, and ends with a syntax error.',
    instead: 'Rename the publication.',
    seen: 'request',
  },
  'older-publisher': {
    on: 'subscription',
    says: 'An option also needs a publisher that knows it; the table above says what an older one makes of it.',
    instead: 'What the table above says for the option.',
    seen: 'request',
  },
  'changed-while-disabled': {
    on: 'subscription',
    says: 'failover, twoPhase, and slotName null are changed only while the subscription is disabled and its worker has ended.',
    instead: 'Disable it, change it, enable it again.',
    seen: 'state',
  },
  'slot-goes-on': {
    on: 'subscription',
    says: 'A slot that a subscription is given, or finds by its name at another publisher, goes on where applying ended: what lies between that and where the slot starts is never sent, and nothing shows it.',
    instead:
      'A copy of the former slot goes on where it does: POST .../replication-slots/{slot}/copy. With "force": true the slot is taken all the same, and the tables are marked as needing verification.',
    seen: 'state',
  },
  'slot-to-read': {
    on: 'subscription',
    says: "A slot that a subscription is given, finds by its name at another publisher, or is created with and createSlot false, is there already, logical, of pgoutput and of the publisher's database, not lost, and read by nobody else. One of a subscription that is created disabled is warned of.",
    instead: 'Create one there first, or name one that fits.',
    seen: 'state',
  },
  'same-publisher': {
    on: 'subscription',
    says: 'A subscription whose connection string the login may not read is led to what may be the same publisher, or another: where the slot of its name there goes on where applying ended, nothing is missed if it is the same.',
    instead: 'Let the login read subconninfo of pg_subscription, as the warning says.',
    seen: 'note',
  },
  'former-slot-stays': {
    on: 'subscription',
    says: 'A subscription that gets another slot, none, or another publisher, leaves its former slot where it is, where it keeps WAL.',
    instead: 'Drop it there unless somebody needs it; it is listed at /v1/orphaned-slots.',
    seen: 'note',
  },
  'no-copy-with-two-phase': {
    on: 'subscription',
    says: 'Once two_phase is enabled, tables are not taken up with a copy: neither by a refresh nor with publications that join or leave, which are one too.',
    instead:
      'Give copyData false where no table joins; subscribe to those that do in a second subscription, or verify them. Where both sides are 18 or newer also: disable it, set twoPhase to false, enable and refresh it, then set twoPhase again.',
    seen: 'state',
  },
  'enabled-to-refresh': {
    on: 'subscription',
    says: 'Only an enabled subscription can be refreshed, and only one with a slot can be enabled.',
    instead: 'Set slotName, enable it, then refresh it.',
    seen: 'state',
  },
  'publications-exist': {
    on: 'subscription',
    says: 'A publication that the publisher does not have is taken by a subscription, and applying fails until it is there.',
    instead: 'Create the publications first.',
    seen: 'note',
  },
  'tables-exist': {
    on: 'subscription',
    says: 'Every table of its publications must be on the subscriber, by the same schema and name, when they are taken up.',
    instead: 'Create the tables first.',
    seen: 'server',
  },
  'copy-heeds-filters': {
    on: 'subscription',
    says: 'A subscriber below 15 copies every row and column of a table: row filters and column lists of a newer publisher hold for later changes only.',
    instead: 'Delete on the subscriber what the filter leaves out, or copy the rows yourself and give copyData false.',
    seen: 'note',
  },
  'copy-sees-all-rows': {
    on: 'subscription',
    says: 'Row security of the publisher holds the login of the subscription where rows are copied. Lockstep turns row_security off in the connection strings it writes, so that such a copy fails instead of lacking rows; subscribers 15.0 to 15.15, 16.0 to 16.11, 17.0 to 17.7 and 18.0 to 18.1 do not pass that on.',
    instead: 'Give the login BYPASSRLS on the publisher, or let it own the tables.',
    seen: 'note',
  },
  'drop-needs-publisher': {
    on: 'subscription',
    says: 'A subscription with a slot is dropped only while its publisher answers, for the slot goes with it.',
    instead:
      'Drop with ?slot=keep: it is disabled, parted from its slot and dropped without a word to the publisher; its slots stay, are recorded, and listed at /v1/orphaned-slots.',
    seen: 'server',
  },
  'slot-is-shared': {
    on: 'subscription',
    says: 'A subscription is not dropped with a slot that another reads from, or may on a copy of the subscriber that does not answer.',
    instead: 'Drop it with ?slot=keep: the slot stays for the other.',
    seen: 'state',
  },
  'skip-forward': {
    on: 'subscription',
    says: 'The LSN to skip lies past what is applied; the whole transaction that ends there is skipped.',
    instead: "Take the finish LSN from the subscriber's log.",
    seen: 'state',
  },
  'password-for-others': {
    on: 'subscription',
    says: 'passwordRequired false is for superusers. Up to 15 only superusers create subscriptions; from 16 on members of pg_create_subscription with CREATE on the database, and a password in the connection string that the publisher asks for.',
    instead: 'What the hint shows: grant pg_create_subscription to the login, CREATE on the database, or a password.',
    seen: 'server',
  },
  'owner-may-write': {
    on: 'subscription',
    says: 'From 16 on changes are applied as the owner of each table, whom the owner of the subscription must be able to become; with runAsOwner the latter needs the privileges itself.',
    instead: 'Grant it, as the warning shows.',
    seen: 'note',
  },
  'subscriber-has-room': {
    on: 'subscription',
    says: 'Every enabled subscription of a cluster takes a worker of max_logical_replication_workers and of max_worker_processes, and an origin of max_active_replication_origins (below 18: of max_replication_slots, on the subscriber); first copies take one more of each (below 14: no origin). One past them never starts, or its copies do not, and the server says so in its log only. What is taken may be free again: nothing is refused.',
    instead: 'Raise the setting that the warning names and restart the subscriber; or disable a subscription.',
    seen: 'note',
  },
  'slot-of-same-cluster': {
    on: 'subscription',
    says: 'CREATE SUBSCRIPTION that creates a slot in its own cluster waits for itself.',
    instead: 'Name the publisher as a registered server: the slot is then created first.',
    seen: 'state',
  },
  'slot-as-it-was-made': {
    on: 'subscription',
    says: 'A slot that a subscription is given, or is created with and createSlot false, keeps its failover and twoPhase whatever the subscription says: no server refuses a difference, nor does it change the slot. Of an enabled subscription are refused failover over a slot that is no failover slot, for no standby would have it, and below 15 a slot with twoPhase, for it stops at the first prepared transaction; other differences are warned of. twoPhase of the subscription is none: its slot gets it when it first runs.',
    instead:
      'Create the slot with the same failover and twoPhase. Or give failover false, and set it to true while the subscription is disabled: that changes the slot.',
    seen: 'state',
  },
  'same-columns-everywhere': {
    on: 'subscription',
    says: 'A table must have the same column list in all publications of one subscription, and from 18 on, where it has none, the same generatedColumns: the publisher refuses to send it otherwise. Of a publisher that is a registered server that is known before.',
    instead: 'Subscribe to them in two subscriptions, or publish the same columns.',
    seen: 'state',
  },
  'publisher-looked-at': {
    on: 'subscription',
    says: 'What a publisher sends is looked at before a subscription to it is created, where it is a registered server, also one that a connection string leads to. The latter may not answer Lockstep and still answer the subscriber: it is not refused then, but columns, row filters and row security went unlooked at.',
    instead: 'Ask for a dry run once the publisher answers.',
    seen: 'note',
  },
  'outside-transactions': {
    on: 'subscription',
    says: 'What talks to the publisher cannot run in a transaction: CREATE with createSlot, DROP with a slot, refreshing, SET of failover and of twoPhase false.',
    instead: 'Dry runs show which statements (`transactional`).',
    seen: 'note',
  },
} as const satisfies Record<string, CombinationRule>;

export type RuleName = keyof typeof COMBINATION_RULES;

/** A refusal that names its rule and says what to do instead. */
export function refusal(
  rule: RuleName,
  code: ErrorCode,
  detail: string,
  errors: InputError[],
  {
    hint = COMBINATION_RULES[rule].instead,
    extra = {},
    ...options
  }: { hint?: string; extra?: Record<string, unknown>; retryable?: boolean } = {},
): Problem {
  const located = errors.length > 0 ? { errors } : {};
  return new Problem(code, detail, { hint, ...located, ...options, extra: { rule, ...extra } });
}
