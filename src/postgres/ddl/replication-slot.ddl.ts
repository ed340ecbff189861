import { slotNameProblem } from '../../shared/identifier.js';
import { formatLsn, type Lsn } from '../../shared/lsn.js';
import { literal } from '../quoting.js';
import { refusal } from './options/combination-rules.js';
import { requireOption } from './options/option-rule.js';
import { RESERVED_SLOT_NAMES, SLOT_OPTIONS } from './options/slot-options.js';
import { invalidInput, requireIdentifier } from './option-rules.js';
import { statement, type Statement } from './statement.js';

export interface LogicalSlotSpec {
  name: string;
  kind: 'logical';
  /** Output plugin; `pgoutput` unless given. */
  plugin?: string;
  twoPhase?: boolean;
  failover?: boolean;
}

export interface PhysicalSlotSpec {
  name: string;
  kind: 'physical';
  /** Keep WAL from now on, rather than from the first connection. */
  reserveImmediately?: boolean;
}

export type ReplicationSlotSpec = LogicalSlotSpec | PhysicalSlotSpec;

const NEEDS = { needs: { kind: 'replication' } } as const;
const KEEPS_WAL = 'Keeps WAL on the server from now on, until it is read from or dropped.';
const LOGICAL_LOCK = 'none; waits for every running transaction that has written';

/** A slot of the session's database (logical) or of the server (physical). */
export function createReplicationSlot(spec: ReplicationSlotSpec, versionNum: number): Statement[] {
  requireSlotName(spec.name, '/name');
  if (spec.kind === 'physical') {
    const reserve = String(spec.reserveImmediately ?? false);
    const call = `pg_catalog.pg_create_physical_replication_slot(${literal(spec.name)}, ${reserve})`;
    return [
      statement(`select slot_name, lsn::text as lsn from ${call}`, 'none', {
        ...NEEDS,
        transactional: false,
        effect: spec.reserveImmediately ? KEEPS_WAL : 'Keeps WAL from its first connection on.',
      }),
    ];
  }
  const plugin = spec.plugin ?? 'pgoutput';
  requireIdentifier(plugin, '/plugin');
  const call = [literal(spec.name), literal(plugin), 'false'];
  if (spec.twoPhase) requireOption(SLOT_OPTIONS.twoPhase, versionNum, '/twoPhase');
  if (spec.failover) requireOption(SLOT_OPTIONS.failover, versionNum, '/failover');
  if (spec.twoPhase || spec.failover) call.push(String(spec.twoPhase ?? false));
  if (spec.failover) call.push('true');
  const sql = `select slot_name, lsn::text as lsn from pg_catalog.pg_create_logical_replication_slot(${call.join(', ')})`;
  // A transaction that has written cannot create one, and a rollback would not undo it.
  return [statement(sql, LOGICAL_LOCK, { ...NEEDS, transactional: false, effect: KEEPS_WAL })];
}

/** Fails while a walsender streams from the slot. Not undone by a rollback. */
export function dropReplicationSlot(name: string): Statement[] {
  return [
    statement(`select pg_catalog.pg_drop_replication_slot(${literal(name)})`, 'none', {
      ...NEEDS,
      effect: 'WAL kept for it alone goes with the next checkpoint; whoever read from it has to begin anew.',
      transactional: false,
    }),
  ];
}

/** Moves the slot forward to `lsn`: what lies before it will never be sent. */
export function advanceReplicationSlot(name: string, lsn: Lsn): Statement[] {
  const call = `pg_catalog.pg_replication_slot_advance(${literal(name)}, ${literal(formatLsn(lsn))})`;
  return [
    statement(`select end_lsn::text as end_lsn from ${call}`, 'none', {
      ...NEEDS,
      transactional: false,
      effect: `What the slot would have sent before ${formatLsn(lsn)} is never sent.`,
    }),
  ];
}

/** A slot of the same kind at the same place. */
export function copyReplicationSlot(
  source: { name: string; kind: 'logical' | 'physical' },
  copy: { name: string; plugin?: string },
): Statement[] {
  requireSlotName(copy.name, '/name');
  if (copy.plugin !== undefined) {
    if (source.kind === 'physical') throw invalidInput('/plugin', 'a physical slot has no plugin');
    requireIdentifier(copy.plugin, '/plugin');
  }
  const call = [literal(source.name), literal(copy.name), 'false', ...(copy.plugin ? [literal(copy.plugin)] : [])];
  const sql = `select slot_name, lsn::text as lsn from pg_catalog.pg_copy_${source.kind}_replication_slot(${call.join(', ')})`;
  return [
    statement(sql, 'none', { ...NEEDS, transactional: false, effect: 'Keeps WAL from the same place on, of its own.' }),
  ];
}

function requireSlotName(name: string, pointer: string): void {
  const problem = slotNameProblem(name);
  if (problem === null && !RESERVED_SLOT_NAMES.has(name)) return;
  const detail = problem === null ? `the name "${name}" has a meaning of its own` : `the slot name ${problem}`;
  throw refusal('slot-name', 'INVALID_INPUT', detail, [{ pointer: `#${pointer}`, detail }]);
}
