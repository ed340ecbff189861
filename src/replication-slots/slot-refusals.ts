import type { ReplicationSlot } from '../postgres/catalog/replication-slots.js';
import { Problem } from '../problems/problem.js';
import { formatLsn, type Lsn, parseLsn } from '../shared/lsn.js';
import type { SlotOwner, SlotOwnerKind } from './slot-owners.js';
import type { SlotView } from './slot-view.js';

type Act = 'drop' | 'advance';

export const SYNCHRONIZED_COPY = 'the copy of a failover slot, kept in step by slot synchronization';

export interface Overruled {
  /** Whoever has the slot, or may have, is left without. */
  force?: boolean;
  /** Made just now by whoever asks: nobody on a server that does not answer has taken it up. */
  isNew?: boolean;
}

const FORCE: Record<Act, string> = {
  drop: 'Or drop the slot with ?force=true',
  advance: 'Look at what is skipped with ?dryRun=true and "force": true. Or advance with "force": true',
};

/** How to go on, and what comes of `force`; a synchronized copy obeys nobody but its primary. */
const IN_THE_WAY: Record<Exclude<SlotOwnerKind, 'primary'>, Record<Act, string>> = {
  subscription: {
    drop: `Drop the subscription, which takes the slot along. ${FORCE.drop}, after which it can only begin anew.`,
    advance: `${FORCE.advance}, after which the subscription and its publisher differ.`,
  },
  'table-synchronization': {
    drop: `Wait until the table is copied, or drop the subscription. ${FORCE.drop}, after which the table is copied anew.`,
    advance: `Wait until the table is copied. ${FORCE.advance}, after which the table and its publisher differ.`,
  },
  standby: {
    drop: `Give the standby another slot, or none (primary_slot_name), and reload it. ${FORCE.drop}, after which it cannot stream until that is done, and must be made anew once WAL that it lacks is gone.`,
    advance: `${FORCE.advance}, after which the standby must be made anew if it lacks WAL that is gone.`,
  },
  upgrade: {
    drop: `Abort or finalize the upgrade, which takes the slot along. ${FORCE.drop}, after which the upgrade cannot go on.`,
    advance: `${FORCE.advance}, after which the upgrade cannot be trusted: abort it.`,
  },
  verification: {
    drop: `Cancel the verification, which takes the slot along. ${FORCE.drop}, after which the verification fails.`,
    advance: `${FORCE.advance}, after which the verification cannot be trusted: cancel it.`,
  },
  resync: {
    drop: `Wait for the resync, which takes the slot along. ${FORCE.drop}, after which the resync fails.`,
    advance: `${FORCE.advance}, after which the resync cannot be trusted.`,
  },
  repair: {
    drop: `Wait for the repair, which takes the slot along, or cancel it. ${FORCE.drop}, after which the repair fails.`,
    advance: `${FORCE.advance}, after which the repair cannot be trusted: cancel it.`,
  },
};

/**
 * CONFLICT while the slot has an owner that will come back for it, or may have one on a server that did not answer,
 * unless `force` says to leave that one without.
 */
export function requireUnowned(slot: SlotView, act: Act, { force = false, isNew = false }: Overruled): void {
  const { name, owner, orphan, unanswered } = slot;
  if (force) return;
  if (owner?.live) throw owned(name, owner, act);
  if (isNew || orphan !== null || unanswered.length === 0) return;
  const who = unanswered.join(', ');
  throw new Problem('CONFLICT', `the slot ${name} may be kept for somebody on ${who}: ${who} did not answer`, {
    hint: `Try again once ${who} answers, or delete a server that is no more. ${FORCE[act]} if nobody there reads from the slot: whoever does ${act === 'drop' ? 'can only begin anew' : 'misses what is skipped'}.`,
    extra: { unanswered },
    retryable: true,
  });
}

function owned(name: string, owner: SlotOwner, act: Act): Problem {
  const missing = act === 'drop' ? '' : ', which would miss what is skipped';
  const { kind } = owner;
  return new Problem('CONFLICT', `the slot ${name} is kept for ${owner.detail}${missing}`, {
    hint: IN_THE_WAY[kind as Exclude<SlotOwnerKind, 'primary'>][act],
  });
}

/** SLOT_ACTIVE while somebody streams from it; WRONG_STATE for the copy of a primary's slot, whoever has it. */
export function requireInactive(slot: ReplicationSlot, act: Act): void {
  // First: the worker that keeps copies in step has each of them for moments, and nobody can stop it for this.
  if (slot.synced === true) {
    throw new Problem('WRONG_STATE', `the slot ${slot.name} is ${SYNCHRONIZED_COPY}`, {
      hint: `PostgreSQL takes no ${act} of it here, with force neither: ${act} the slot on the primary, and the copy follows.`,
    });
  }
  if (!slot.active) return;
  throw new Problem('SLOT_ACTIVE', `the slot ${slot.name} is in use by process ${slot.activePid ?? 'unknown'}`, {
    hint: 'Disable the subscription, or stop the standby or reader, that streams from it.',
  });
}

/** A lost slot may show a position still, but PostgreSQL does not move it. */
export function requireForward(slot: ReplicationSlot, lsn: Lsn): void {
  const { name, restartLsn, invalidationReason } = slot;
  if (invalidationReason !== null || slot.walStatus === 'lost') {
    throw new Problem('WRONG_STATE', `the slot ${name} is lost (${invalidationReason ?? 'its WAL is gone'})`, {
      hint: 'Drop it, and copy its reader afresh from a new one.',
    });
  }
  const position = restartLsn === null ? null : (slot.confirmedFlushLsn ?? restartLsn);
  if (position === null) {
    throw new Problem('WRONG_STATE', `the slot ${name} has no position to advance from: it was never used`, {
      hint: 'A physical slot keeps WAL from the first connection of its standby on, or is created with reserveImmediately.',
    });
  }
  if (lsn < parseLsn(position)) {
    throw new Problem('CONFLICT', `the slot ${name} is at ${position}, past ${formatLsn(lsn)}; it cannot go back`);
  }
}
