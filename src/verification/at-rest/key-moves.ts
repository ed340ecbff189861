import type { StreamedTransaction } from '../../postgres/replication/streamed-transaction.js';
import type { Lsn } from '../../shared/lsn.js';
import { ChangeReader, keyPositions, keysOf, keyText, TableMoved, type StreamedRowChange } from './row-changes.js';
import { tableId, type TableName, type TableShape } from './table-shape.js';

/** A row that got another key, both in the publisher's form. */
export interface KeyMove {
  from: string[];
  to: string[];
}

interface KnownTable {
  shape: TableShape;
  positions: number[];
  reader: ChangeReader;
}

type Ended<T> = T & { endLsn: Lsn };

/** What is held of one table. Changes are held whole until it is known which of their columns are its key. */
interface Held {
  changes: Ended<{ change: StreamedRowChange }>[];
  characters: number;
  moves: Ended<KeyMove>[];
  /** Where the last transaction ends that may have moved keys which are not held; null: all are. */
  lost: Lsn | null;
}

const MOST_CHANGES = 50_000;
const MOST_CHARACTERS = 32 * 1024 * 1024;

/**
 * Rows whose key the publisher changed, as its stream tells. What is compared piece by piece, or a key that is in doubt
 * and compared again, may miss them: where the subscriber lacks a row, nothing is seen of it under either key.
 */
export class KeyMoves {
  private readonly known = new Map<string, KnownTable>();
  private readonly held = new Map<string, Held>();
  /** Quoted names; null: every table. */
  private watched: Set<string> | null = null;
  /**
   * Whether what is recorded must be told again to a process that goes on. Else the servers need not keep it. True until
   * it is known with what this one goes on.
   */
  wanted = true;

  /** A transaction of the publisher's stream. */
  readonly record = ({ changes, cutKeys, endLsn }: StreamedTransaction): void => {
    for (const relation of cutKeys ?? []) this.lose(tableId(relation), endLsn);
    for (const change of changes) {
      // Without an old key it is the same one; with the whole old row it may be.
      if (change.kind === 'update' && change.old !== null) this.hold(tableId(change.relation), change, endLsn);
    }
  };

  /** From now on only what concerns these is held, and those that are watched later. */
  watchOnly(tables: readonly TableName[]): void {
    this.watched = new Set(tables.map(tableId));
    for (const id of this.held.keys()) if (!this.watched.has(id)) this.held.delete(id);
  }

  /** A table of which nothing was compared yet: what moved in it until now is of no account. */
  watch(table: TableName): void {
    this.watched?.add(tableId(table));
    this.held.delete(tableId(table));
  }

  unwatch(table: TableName): void {
    this.watched?.delete(tableId(table));
    this.held.delete(tableId(table));
  }

  /** A table that is compared for the first time, at an LSN: what moved up to there is of no account. */
  begin(shape: TableShape, bound: Lsn): void {
    const table = this.know(shape);
    const held = this.held.get(tableId(shape));
    if (held === undefined) return;
    const isLater = ({ endLsn }: Ended<object>) => endLsn > bound;
    const later = { ...held, changes: held.changes.filter(isLater), moves: held.moves.filter(isLater) };
    if (later.lost !== null && later.lost <= bound) later.lost = null;
    this.held.set(tableId(shape), resolved(later, table));
  }

  /** What moved since it was last taken; null: that is not known. */
  take(shape: TableShape): KeyMove[] | null {
    return this.takeOf(tableId(shape), this.know(shape));
  }

  /** As `take`, by what the table was when it was last seen. */
  takeAsKnown(name: TableName): KeyMove[] | null {
    const table = this.known.get(tableId(name));
    if (table !== undefined) return this.takeOf(tableId(name), table);
    const held = this.held.get(tableId(name));
    return held === undefined ? [] : null;
  }

  private takeOf(id: string, table: KnownTable): KeyMove[] | null {
    const held = this.held.get(id);
    this.held.delete(id);
    if (held === undefined) return [];
    const { moves, lost } = resolved(held, table);
    return lost === null ? moves : null;
  }

  private know(shape: TableShape): KnownTable {
    const table = { shape, positions: keyPositions(shape), reader: new ChangeReader(shape) };
    this.known.set(tableId(shape), table);
    return table;
  }

  private hold(id: string, change: StreamedRowChange, endLsn: Lsn): void {
    if (this.watched !== null && !this.watched.has(id)) return;
    const held = this.heldOf(id);
    const table = this.known.get(id);
    const move = table === undefined ? undefined : moveOf(change, table);
    if (move === null) return;
    const size = move === undefined ? sizeOf(change) : 0;
    const isTooMuch =
      held.changes.length + held.moves.length >= MOST_CHANGES || held.characters + size > MOST_CHARACTERS;
    if (isTooMuch || move === 'unknown') return this.lose(id, endLsn);
    if (move === undefined) held.changes.push({ change, endLsn });
    else held.moves.push({ ...move, endLsn });
    held.characters += size;
  }

  private lose(id: string, endLsn: Lsn): void {
    if (this.watched !== null && !this.watched.has(id)) return;
    Object.assign(this.heldOf(id), { changes: [], moves: [], characters: 0, lost: endLsn });
  }

  private heldOf(id: string): Held {
    const held = this.held.get(id) ?? { changes: [], characters: 0, moves: [], lost: null };
    this.held.set(id, held);
    return held;
  }
}

/** With moves in place of changes. */
function resolved(held: Held, table: KnownTable): Held {
  const moves = [...held.moves];
  let { lost } = held;
  for (const { change, endLsn } of held.changes) {
    const move = moveOf(change, table);
    if (move === 'unknown') lost = endLsn;
    else if (move !== null) moves.push({ ...move, endLsn });
  }
  return { changes: [], characters: 0, moves, lost };
}

/** Null: the key stayed. */
function moveOf(change: StreamedRowChange, { shape, positions, reader }: KnownTable): KeyMove | null | 'unknown' {
  if (shape.key === null) return null;
  try {
    const { before, after } = keysOf(reader.read(change), positions);
    if (before === null || after === null || keyText(before) === keyText(after)) return null;
    return { from: before, to: after };
  } catch (error) {
    if (error instanceof TableMoved) return 'unknown';
    throw error;
  }
}

function sizeOf(change: StreamedRowChange): number {
  const tuples = change.kind === 'update' ? [change.new, change.old?.tuple ?? []] : [];
  return tuples.flat().reduce<number>((sum, value) => sum + (typeof value === 'string' ? value.length : 0), 100);
}
