import { type Lsn, formatLsn, parseLsn, ZERO_LSN } from '../shared/lsn.js';
import type { Problem } from '../problems/problem.js';
import { refusal } from '../postgres/ddl/options/combination-rules.js';
import type { SlotLook } from './slot-to-read.js';
import type { SubscriptionWarning } from './subscription-warnings.js';

/** Changes that the slot a subscription gets may not send, or the subscription takes for applied already. */
export interface Gap {
  detail: string;
  /** Where the publisher's changes are had again, as far as that is known. */
  until: Lsn;
}

/** Up to where all is applied, in the publisher's WAL; null: nothing was taken up yet, by any slot, that could be missed. */
export type Applied = Lsn | null | { unknown: string };

/**
 * A walsender starts no earlier than its slot has confirmed, whatever the subscriber asks for, and no earlier than the
 * subscriber asks for, whatever was written there.
 * @param isCarriedOver the slot is the former one, as the publisher's standby had it when it was promoted: it has confirmed
 * no more than the subscription had, which may be more than the origin shows
 */
export function gapOf(name: string, look: SlotLook, applied: Applied, isCarriedOver = false): Gap | null {
  if (applied === null) return null;
  const start = look.slot?.confirmedFlushLsn ?? null;
  const known = typeof applied === 'bigint' ? applied : null;
  if (start === null) {
    return { detail: `where the slot ${name} starts is not known: ${look.unknown}`, until: known ?? ZERO_LSN };
  }
  const end = look.slot?.currentLsn ?? null;
  if (known !== null && end !== null && parseLsn(end) < known) {
    const detail = `the publisher has not got what was applied already: its WAL ends at ${end}, before ${formatLsn(known)}, and what it writes up to there is never applied`;
    return { detail, until: known };
  }
  const until = parseLsn(start);
  if (isCarriedOver) return null;
  if (typeof applied !== 'bigint')
    return { detail: `the slot ${name} starts at ${start}, and ${applied.unknown}`, until };
  if (until <= applied) return null;
  const detail = `the slot ${name} starts at ${start}, past ${formatLsn(applied)}, up to where changes were applied: what lies between is never sent`;
  return { detail, until };
}

/** @param grant what lets the login see more; null: nothing that is known */
export function refuseGap({ detail }: Gap, { slot }: SlotLook, pointer: string, grant: string | null): Problem {
  const extra = { slotStart: slot?.confirmedFlushLsn ?? null, retryWith: { force: true } };
  const hint = grant === null ? {} : { hint: hintOf(grant) };
  return refusal('slot-goes-on', 'CONFLICT', detail, [{ pointer, detail }], { ...hint, extra });
}

export function gapWarning({ detail }: Gap, option: string | null): SubscriptionWarning {
  return {
    rule: 'slot-goes-on',
    option,
    detail: `${detail}. The tables are marked as needing verification.`,
  };
}

function hintOf(grant: string): string {
  return `Let the login see which publisher it is, in the subscription's database, and ask again: ${grant} With "force": true it is taken all the same, and the tables are marked as needing verification.`;
}
