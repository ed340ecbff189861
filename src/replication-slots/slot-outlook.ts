import type { WalRate } from '../lsn-clock/lsn-history.js';
import type { ReplicationSlot } from '../postgres/catalog/replication-slots.js';

/** `lost` is never anything else: whoever reads from it has to begin anew. */
export type SlotHealth = 'ok' | 'warning' | 'critical' | 'lost' | 'unknown';

/** How the slot stands, and how long the WAL it keeps can grow. */
export interface SlotOutlook {
  health: SlotHealth;
  /** One sentence for each thing that keeps it from `ok`. */
  reasons: string[];
  /** WAL written on the server lately, whoever made it; null when it was not observed yet. */
  walRate: WalRate | null;
  /** What limits the WAL the slot may keep, of several the nearest; null: nothing that is known. */
  limit: 'max_slot_wal_keep_size' | 'walBudgetBytes' | null;
  /** WAL that may still be written before that; negative: it has been. */
  bytesToLimit: number | null;
  /** How long the slot can stand still from now on, at that rate; null when not known. */
  secondsToLimit: number | null;
}

const HOUR = 3600;
const DAY = 24 * HOUR;
/** Dead rows of the catalogs that no vacuum may remove: autovacuum begins to force freezes at this age by default. */
const OLD_XMIN = 200_000_000;
const MUCH_BYTES = 1_000_000_000;
/** Of what the limit allows, with a reader that is connected: it does not keep up, or does not confirm. */
const MUCH_OF_LIMIT = 0.5;
const NEARLY_LIMIT = 0.9;

/** @param budgetBytes what the server's administrators allow a slot to keep; null: nothing was said */
export function outlookOf(slot: ReplicationSlot, rate: WalRate | null, budgetBytes: number | null): SlotOutlook {
  const { limit, bytesToLimit } = limitOf(slot, budgetBytes);
  const secondsToLimit =
    bytesToLimit === null || rate === null || (rate.bytesPerSecond === 0 && bytesToLimit > 0)
      ? null
      : Math.max(0, bytesToLimit) / Math.max(1, rate.bytesPerSecond);
  const outlook = { walRate: rate, limit, bytesToLimit, secondsToLimit };
  if (slot.walStatus === 'lost' || slot.invalidationReason !== null) {
    const why = slot.invalidationReason === null ? '' : ` (${slot.invalidationReason})`;
    return { health: 'lost', reasons: [`the slot is lost${why}: drop it, and copy its reader afresh`], ...outlook };
  }
  if (slot.walStatus === null && slot.restartLsn !== null) {
    return { health: 'unknown', reasons: ['the server does not say whether its WAL is there still'], ...outlook };
  }
  const found = [...ofLimit(slot, outlook), ...ofStanding(slot, limit)];
  const health = found.some(([grave]) => grave) ? 'critical' : found.length > 0 ? 'warning' : 'ok';
  return { health, reasons: found.map(([, reason]) => reason), ...outlook };
}

/** The nearer one; where both are as near, that by which the slot is lost. */
function limitOf(slot: ReplicationSlot, budget: number | null): Pick<SlotOutlook, 'limit' | 'bytesToLimit'> {
  const loss = slot.safeWalSize;
  const spent = budget === null || slot.retainedBytes === null ? null : budget - slot.retainedBytes;
  if (loss !== null && (spent === null || loss <= spent)) {
    return { limit: 'max_slot_wal_keep_size', bytesToLimit: loss };
  }
  return { limit: spent === null ? null : 'walBudgetBytes', bytesToLimit: spent };
}

/** Whether it is grave, and what it is. */
type Finding = [grave: boolean, reason: string];

function ofLimit(slot: ReplicationSlot, outlook: Omit<SlotOutlook, 'health' | 'reasons'>): Finding[] {
  const { limit, bytesToLimit, secondsToLimit } = outlook;
  if (slot.walStatus === 'unreserved') return [[true, 'the next checkpoint may remove WAL that it still needs']];
  if (bytesToLimit !== null && bytesToLimit <= 0) return [[true, `it keeps more WAL than ${limit} allows`]];
  if (slot.active) return bytesToLimit === null ? [] : ofReader(slot, limit!, bytesToLimit);
  // The copy of a primary's slot moves on without a reader of its own.
  if (slot.synced || secondsToLimit === null || secondsToLimit > DAY) return [];
  return [
    [
      secondsToLimit <= HOUR,
      `nobody reads from it, and at this rate it reaches ${limit} in ${inWords(secondsToLimit)}`,
    ],
  ];
}

/** One that is read moves on, and how fast the limit would come nearer says nothing; how near it is does. */
function ofReader({ retainedBytes }: ReplicationSlot, limit: string, bytesToLimit: number): Finding[] {
  if (retainedBytes === null) return [];
  const share = retainedBytes / (retainedBytes + bytesToLimit);
  if (share < MUCH_OF_LIMIT) return [];
  const percent = Math.floor(share * 100);
  return [[share >= NEARLY_LIMIT, `its reader is behind: it keeps ${percent} % of the WAL that ${limit} allows`]];
}

function ofStanding(slot: ReplicationSlot, limit: SlotOutlook['limit']): Finding[] {
  const found: Finding[] = [];
  const retained = limit === null && !slot.synced ? (slot.retainedBytes ?? 0) : 0;
  const much = retained > MUCH_BYTES ? `, ${Math.round(retained / 1_000_000)} MB so far` : '';
  if (slot.active && much !== '') {
    found.push([false, `its reader is behind, and nothing limits the WAL it keeps${much}`]);
  } else if (!slot.active && retained > 0) {
    found.push([false, `nobody reads from it and nothing limits the WAL it keeps${much}`]);
  }
  const age = Math.max(slot.xminAge ?? 0, slot.catalogXminAge ?? 0);
  if (age > OLD_XMIN) found.push([false, `it keeps dead rows of ${age} transactions from being vacuumed`]);
  return found;
}

function inWords(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} seconds`;
  return seconds < 2 * HOUR ? `${Math.round(seconds / 60)} minutes` : `${Math.round(seconds / HOUR)} hours`;
}
