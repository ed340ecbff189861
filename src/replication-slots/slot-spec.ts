import type { ReplicationSlotSpec } from '../postgres/ddl/replication-slot.ddl.js';
import { Problem } from '../problems/problem.js';
import type { CreateReplicationSlotDto } from './replication-slots.dto.js';

const LOGICAL_ONLY = ['database', 'plugin', 'twoPhase', 'failover', 'deadlineMs'] as const;

/** The slot as a specification. A field that the kind has no use for is refused rather than ignored. */
export function slotSpecOf(body: CreateReplicationSlotDto): ReplicationSlotSpec {
  const { name, kind, plugin, twoPhase, failover, reserveImmediately } = body;
  const unfit = kind === 'physical' ? LOGICAL_ONLY : (['reserveImmediately'] as const);
  const errors = unfit
    .filter((field) => body[field] !== undefined)
    .map((field) => ({ pointer: `#/${field}`, detail: `does not go with a ${kind} slot` }));
  if (errors.length > 0) {
    throw new Problem('INVALID_INPUT', `the slot has fields that do not go with kind ${kind}`, { errors });
  }
  if (kind === 'physical') return { name, kind, ...(reserveImmediately === undefined ? {} : { reserveImmediately }) };
  return {
    name,
    kind,
    ...(plugin === undefined ? {} : { plugin }),
    ...(twoPhase === undefined ? {} : { twoPhase }),
    ...(failover === undefined ? {} : { failover }),
  };
}
