import { PG13, PG14, PG17 } from '../../../shared/server-version.js';
import type { OptionRule } from './option-rule.js';

/** "none" means no slot to a subscription; the other is the server's own from 19 on. */
export const RESERVED_SLOT_NAMES: ReadonlySet<string> = new Set(['none', 'pg_conflict_detection']);

/** Arguments of the functions that make replication slots; none can be altered by SQL. */
export const SLOT_OPTIONS = {
  plugin: {
    option: 'plugin',
    keyword: 'plugin',
    example: "pg_catalog.pg_create_logical_replication_slot('s_slot', 'pgoutput')",
    since: PG13,
    alterSince: null,
    defaults: [{ since: PG13, value: 'pgoutput' }],
    instead: 'Create another slot.',
  },
  temporary: {
    option: null,
    keyword: 'temporary',
    example: "pg_catalog.pg_create_logical_replication_slot('s_slot', 'pgoutput', true)",
    since: PG13,
    alterSince: null,
    defaults: [{ since: PG13, value: 'false' }],
    instead: 'A temporary slot ends with the session that made it, which ends with the request.',
  },
  twoPhase: {
    option: 'twoPhase',
    keyword: 'twophase',
    example: "pg_catalog.pg_create_logical_replication_slot('s_slot', 'pgoutput', false, true)",
    since: PG14,
    alterSince: null,
    defaults: [{ since: PG13, value: 'false' }],
    instead: 'Leave it out: prepared transactions are decoded when they commit.',
  },
  failover: {
    option: 'failover',
    keyword: 'failover',
    example: "pg_catalog.pg_create_logical_replication_slot('s_slot', 'pgoutput', false, false, true)",
    since: PG17,
    alterSince: null,
    defaults: [{ since: PG13, value: 'false' }],
    instead: 'Leave it out: protect the slot by other means (Patroni slots, pg_failover_slots).',
  },
  reserveImmediately: {
    option: 'reserveImmediately',
    keyword: 'immediately_reserve (physical)',
    example: "pg_catalog.pg_create_physical_replication_slot('s_slot', true)",
    since: PG13,
    alterSince: null,
    defaults: [{ since: PG13, value: 'false' }],
    instead: '',
  },
} as const satisfies Record<string, OptionRule>;
