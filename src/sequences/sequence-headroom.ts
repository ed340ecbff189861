import type { Sequence } from '../postgres/catalog/sequences-list.js';

/** How much a sequence has left before it ends, or begins again where it cycles. Whole numbers are text. */
export interface SequenceHeadroom {
  /** How many more values it will hand out. */
  valuesLeft: string;
  /** Of all that it can hand out between its limits, rounded down to hundredths. */
  percentUsed: number;
  /** The furthest value: of the sequence, or of the column it belongs to, if that takes less. */
  lastPossible: string;
  limitedBy: 'sequence' | 'column';
}

/** What a column of the type takes; an int8 takes whatever a sequence has. */
const COLUMN_LIMITS: Record<string, bigint> = { smallint: 32_767n, integer: 2_147_483_647n };

/** Null when it is not known where the sequence stands. */
export function headroomOf(sequence: Sequence): SequenceHeadroom | null {
  if (sequence.lastValue === null) return null;
  const increment = BigInt(sequence.increment);
  const up = increment > 0n;
  const [minimum, maximum] = [BigInt(sequence.minimum), BigInt(sequence.maximum)];
  const columnLimit = COLUMN_LIMITS[sequence.ownedBy?.columnType ?? ''];
  const ownEnd = up ? maximum : minimum;
  // A two's complement type takes one more below zero than above.
  const columnEnd = columnLimit === undefined ? ownEnd : up ? columnLimit : -columnLimit - 1n;
  const byColumn = up ? columnEnd < ownEnd : columnEnd > ownEnd;
  const end = byColumn ? columnEnd : ownEnd;
  const step = up ? increment : -increment;
  const handedOutFrom = (value: bigint) => {
    const distance = up ? end - value : value - end;
    return distance < 0n ? 0n : distance / step + 1n;
  };
  const left = handedOutFrom(nextValue(sequence.lastValue, sequence));
  const all = handedOutFrom(up ? minimum : maximum);
  return {
    valuesLeft: left.toString(),
    percentUsed: all === 0n ? 100 : Number(((all - left) * 10_000n) / all) / 100,
    lastPossible: end.toString(),
    limitedBy: byColumn ? 'column' : 'sequence',
  };
}

/** What nextval would answer, if that were within the limits. */
export function nextValue(
  lastValue: string,
  { increment, isCalled }: Pick<Sequence, 'increment' | 'isCalled'>,
): bigint {
  return BigInt(lastValue) + (isCalled === false ? 0n : BigInt(increment));
}
