import { PG13, PG14, PG15, PG16, PG17, PG18, PG19 } from '../../../shared/server-version.js';
import type { OptionRule } from './option-rule.js';

const ONLY_AT_CREATION = 'It takes effect only when the subscription is created.';
const DISABLED = 'disabled, its worker ended';

/** What the WITH list of CREATE SUBSCRIPTION and ALTER SUBSCRIPTION ... SET take, by our names. */
export const SUBSCRIPTION_OPTIONS = {
  enabled: {
    option: 'enabled',
    keyword: 'enabled',
    example: 'enabled = false',
    since: PG13,
    alterSince: null,
    defaults: [{ since: PG13, value: 'true' }],
    instead: 'Use enable or disable.',
  },
  copyData: {
    option: 'copyData',
    keyword: 'copy_data',
    example: 'copy_data = false',
    since: PG13,
    alterSince: null,
    defaults: [{ since: PG13, value: 'true' }],
    instead: `${ONLY_AT_CREATION} Later, give copyData (not among the options) with new publications or a refresh.`,
  },
  createSlot: {
    option: 'createSlot',
    keyword: 'create_slot',
    example: 'create_slot = false',
    since: PG13,
    alterSince: null,
    defaults: [{ since: PG13, value: 'true' }],
    instead: `${ONLY_AT_CREATION} Later, create a slot by itself and give its slotName.`,
  },
  slotName: {
    option: 'slotName',
    keyword: 'slot_name',
    example: 'slot_name = s_slot',
    since: PG13,
    alterWhile: `${DISABLED} (for no slot)`,
    defaults: [{ since: PG13, value: "the subscription's name" }],
    instead: '',
  },
  synchronousCommit: {
    option: 'synchronousCommit',
    keyword: 'synchronous_commit',
    example: 'synchronous_commit = local',
    since: PG13,
    defaults: [{ since: PG13, value: 'off' }],
    instead: '',
  },
  binary: {
    option: 'binary',
    keyword: 'binary',
    example: 'binary = true',
    since: PG14,
    defaults: [{ since: PG13, value: 'false' }],
    publisher: { since: PG14, older: 'ignored', meaning: 'Values travel as text.' },
    instead: 'Leave it out: values travel as text.',
  },
  streaming: {
    option: 'streaming',
    keyword: 'streaming',
    example: 'streaming = on',
    since: PG14,
    defaults: [
      { since: PG13, value: 'off' },
      { since: PG18, value: 'parallel' },
    ],
    publisher: { since: PG14, older: 'ignored', meaning: 'Large transactions are sent when they commit.' },
    instead: 'Leave it out: large transactions are sent when they commit.',
  },
  twoPhase: {
    option: 'twoPhase',
    keyword: 'two_phase',
    example: 'two_phase = true',
    since: PG15,
    alterSince: PG18,
    alterWhile: DISABLED,
    altersSlot: { when: 'when false', publisherSince: PG18 },
    defaults: [{ since: PG13, value: 'false' }],
    publisher: {
      since: PG15,
      older: 'ignored',
      meaning: 'Prepared transactions are sent when they commit. Refused with createSlot and without copyData.',
    },
    instead: 'Leave it out: prepared transactions are replicated when they commit.',
  },
  disableOnError: {
    option: 'disableOnError',
    keyword: 'disable_on_error',
    example: 'disable_on_error = true',
    since: PG15,
    defaults: [{ since: PG13, value: 'false' }],
    instead: 'Leave it out: the apply worker retries after an error.',
  },
  origin: {
    option: 'origin',
    keyword: 'origin',
    example: 'origin = none',
    since: PG16,
    defaults: [{ since: PG13, value: 'any' }],
    publisher: {
      since: PG16,
      older: 'ignored',
      meaning: 'Changes of every origin are sent: two directions enabled at once loop.',
    },
    instead: 'Leave it out: changes of every origin are sent. Never enable two directions at once.',
  },
  passwordRequired: {
    option: 'passwordRequired',
    keyword: 'password_required',
    example: 'password_required = false',
    since: PG16,
    defaults: [{ since: PG16, value: 'true' }],
    instead: 'Leave it out: only superusers create subscriptions there.',
  },
  runAsOwner: {
    option: 'runAsOwner',
    keyword: 'run_as_owner',
    example: 'run_as_owner = true',
    since: PG16,
    defaults: [
      { since: PG13, value: 'true' },
      { since: PG16, value: 'false' },
    ],
    instead: "Leave it out: changes are applied as the subscription's owner.",
  },
  failover: {
    option: 'failover',
    keyword: 'failover',
    example: 'failover = true',
    since: PG17,
    alterWhile: DISABLED,
    altersSlot: { when: 'always', publisherSince: PG17 },
    defaults: [{ since: PG13, value: 'false' }],
    publisher: { since: PG17, older: 'refused', meaning: 'The publisher has no failover slots.' },
    instead: 'Leave it out: protect the slot by other means (Patroni slots, pg_failover_slots).',
  },
} as const satisfies Record<string, OptionRule>;

/** A value of `streaming` that came later than the option. */
export const STREAMING_PARALLEL = {
  option: 'streaming = parallel',
  keyword: 'streaming',
  example: 'streaming = parallel',
  since: PG16,
  defaults: [],
  publisher: { since: PG16, older: 'ignored', meaning: 'Large transactions are streamed and applied at commit.' },
  instead: 'Use "on": large transactions are written to a file and applied when they commit.',
} as const satisfies OptionRule;

/** What PostgreSQL takes and our API does not offer. */
export const SUBSCRIPTION_OPTIONS_NOT_OFFERED = {
  connect: {
    option: null,
    keyword: 'connect',
    example: 'connect = false',
    since: PG13,
    alterSince: null,
    defaults: [{ since: PG13, value: 'true' }],
    instead: 'Give enabled, createSlot and copyData false: the publisher is then asked for its tables only.',
  },
  retainDeadTuples: {
    option: null,
    keyword: 'retain_dead_tuples',
    example: 'retain_dead_tuples = true',
    since: PG19,
    alterWhile: DISABLED,
    defaults: [{ since: PG13, value: 'false' }],
    publisher: { since: PG19, older: 'refused', meaning: 'The publisher cannot say how far it is.' },
    instead: 'Leave it out: an update of a row deleted on the subscriber counts as missing.',
  },
  maxRetentionDuration: {
    option: null,
    keyword: 'max_retention_duration',
    example: 'max_retention_duration = 60000',
    since: PG19,
    defaults: [{ since: PG19, value: '0 (no limit)' }],
    instead: 'Leave it out: it limits retain_dead_tuples.',
  },
  walReceiverTimeout: {
    option: null,
    keyword: 'wal_receiver_timeout',
    example: "wal_receiver_timeout = '5s'",
    since: PG19,
    defaults: [{ since: PG13, value: "the server's setting" }],
    instead: "Set wal_receiver_timeout for the server, or for the subscription's owner.",
  },
} as const satisfies Record<string, OptionRule>;

/** What else can be done to a subscription. */
export const SUBSCRIPTION_ACTIONS = {
  setPublications: {
    option: 'publications',
    keyword: 'SET PUBLICATION',
    example: 'alter subscription s set publication q with (refresh = false)',
    since: PG13,
    defaults: [],
    instead: '',
  },
  addPublication: {
    option: 'addPublications, removePublications',
    keyword: 'ADD PUBLICATION, DROP PUBLICATION',
    example: 'alter subscription s add publication q with (refresh = false)',
    since: PG14,
    defaults: [],
    instead: 'The whole new list is set, as with publications.',
  },
  skip: {
    option: 'skip',
    keyword: 'SKIP',
    example: "alter subscription s skip (lsn = '0/10')",
    since: PG15,
    defaults: [],
    instead:
      'Mend the row on the subscriber so that the change applies, or move the origin with pg_replication_origin_advance while it is disabled.',
  },
  refreshSequences: {
    option: null,
    keyword: 'REFRESH SEQUENCES',
    example: 'alter subscription s refresh sequences',
    since: PG19,
    defaults: [],
    publisher: { since: PG19, older: 'refused', meaning: 'It helps no upgrade from 18 or older.' },
    instead: 'Sequences are not replicated before: set them on the subscriber before it takes writes.',
  },
} as const satisfies Record<string, OptionRule>;
