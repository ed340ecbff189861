import { type BoundTransactions, comparePoints } from '../at-rest/compare-points.js';
import type { SnapshotSessions } from '../at-rest/snapshot-sessions.js';
import { type DifferenceKind, Differences } from '../at-rest/difference.js';
import { type PointReader, readVersionedByKeys, type TouchedKey, type VersionedRow } from '../at-rest/point-read.js';
import { keyText, TableMoved } from '../at-rest/row-changes.js';
import type { ComparedColumn, TableShape } from '../at-rest/table-shape.js';
import { ZERO_LSN } from '../../shared/lsn.js';

type Values = readonly (string | null)[];

/** A row on which the sides do not agree, whole; values and key in the subscriber's form. */
export type DifferingRow =
  | { kind: 'missing'; key: readonly string[]; publisher: Values }
  | { kind: 'extra'; key: readonly string[]; subscriber: Values; version: string }
  | { kind: 'different'; key: readonly string[]; publisher: Values; subscriber: Values; version: string };

/** What two bound snapshots say about some keys. */
export interface JudgedKeys {
  /** By `keyText` of the key in the subscriber's form; a key that is in neither map agrees. */
  differing: Map<string, DifferingRow[]>;
  /** Cannot be judged in these snapshots. */
  doubtful: Set<string>;
  /** Why none could be judged; null where some could. */
  moved: string | null;
}

/** Compares the rows of some keys, and keeps those that differ whole. */
export async function judgeKeys(
  sessions: SnapshotSessions,
  shape: TableShape,
  bound: BoundTransactions,
  keys: readonly TouchedKey[],
): Promise<JudgedKeys> {
  const versions = new Map<Values, string>();
  const read: PointReader<VersionedRow> = async (...given) => {
    const rows = await readVersionedByKeys(...given);
    if (given[2] === 'subscriber') for (const { values, version } of rows) versions.set(values, version);
    return rows;
  };
  const wanted = new Set(keys.map(({ subscriber }) => keyText(subscriber)));
  const found = new WholeRows(shape, wanted, versions);
  const asked = keys.map(({ publisher }) => publisher);
  try {
    const { doubtful } = await comparePoints(sessions, shape, bound, asked, found, read);
    const unknown = new Set(doubtful.map((key) => keyText(key)));
    const inDoubt = keys.filter(({ publisher }) => unknown.has(keyText(publisher)));
    return {
      differing: found.rows,
      doubtful: new Set(inDoubt.map(({ subscriber }) => keyText(subscriber))),
      moved: null,
    };
  } catch (error) {
    if (!(error instanceof TableMoved)) throw error;
    return { differing: new Map(), doubtful: wanted, moved: error.reason };
  }
}

/** Takes the place of the list of cut values. */
class WholeRows extends Differences {
  readonly rows = new Map<string, DifferingRow[]>();

  constructor(
    shape: TableShape,
    private readonly wanted: ReadonlySet<string>,
    private readonly versions: ReadonlyMap<Values, string>,
  ) {
    super(shape, ZERO_LSN, 0);
  }

  override add(kind: DifferenceKind, key: Values | null, publisher: Values | null, subscriber: Values | null): void {
    const text = keyText(key!);
    // The stream touched others, too; they are not asked for.
    if (!this.wanted.has(text)) return;
    const row = { kind, key, publisher, subscriber, version: subscriber && this.versions.get(subscriber) };
    const others = this.rows.get(text);
    if (others) others.push(row as DifferingRow);
    else this.rows.set(text, [row as DifferingRow]);
  }
}

/**
 * A key as a difference shows it (in the subscriber's form), in both forms; or why it cannot be looked for on the
 * publisher.
 */
export function keyInBothForms(
  shape: TableShape,
  key: Readonly<Record<string, string | null>>,
): TouchedKey | { reason: string } {
  const subscriber = shape.key!.map(({ name }) => key[name] ?? null);
  const names = Object.keys(key);
  if (names.length !== subscriber.length || subscriber.includes(null)) {
    return { reason: 'rows of the table are told apart by other columns than when they were compared' };
  }
  for (const [position, column] of shape.key!.entries()) {
    const reason = notAlike(column, subscriber[position]!);
    if (reason !== null) return { reason };
  }
  return { publisher: subscriber as string[], subscriber: subscriber as string[] };
}

const INTEGER_BITS: Record<string, bigint> = { smallint: 15n, integer: 31n, bigint: 63n };
const TEXTS = /^(text|character varying(\(\d+\))?)$/;

/** Why the text of a key column is not the same on both sides; null where it is. */
function notAlike(column: ComparedColumn, text: string): string | null {
  if (column.conversion !== 'cast') return null;
  const [ours, theirs] = [column.publisher.type, column.subscriber.type];
  const most = /\((\d+)\)$/.exec(theirs)?.[1];
  // One of full length may be what a cast has cut trailing blanks off.
  const isWhole = most === undefined || [...text].length < Number(most);
  if (TEXTS.test(ours) && TEXTS.test(theirs) && isWhole) return null;
  const bits = INTEGER_BITS[ours];
  if (bits === undefined || INTEGER_BITS[theirs] === undefined) {
    return `the key column "${column.name}" is ${ours} on the publisher and ${theirs} on the subscriber`;
  }
  const value = BigInt(text);
  const fits = value >= -(1n << bits) && value < 1n << bits;
  return fits ? null : `the key column "${column.name}" is ${ours} on the publisher, which holds no ${text}`;
}
