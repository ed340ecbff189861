import type { StreamedTransaction } from '../../postgres/replication/streamed-transaction.js';
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

/** What is held of one table. Changes are held whole until it is known which of their columns are its key. */
interface Held {
  changes: StreamedRowChange[];
  characters: number;
  moves: KeyMove[];
}

const MOST_CHANGES = 50_000;
const MOST_CHARACTERS = 32 * 1024 * 1024;

/**
 * Rows whose key the publisher changed, as its stream tells. In a table that is compared in chunks a row may move from a
 * part that is not compared yet into one that is: where the subscriber lacks it, no chunk would ever see it.
 */
export class KeyMoves {
  private readonly known = new Map<string, KnownTable>();
  /** By quoted name; null: more than is held, or its columns changed. */
  private readonly held = new Map<string, Held | null>();
  private cut = false;
  /**
   * Whether what is recorded must be told again to a process that goes on: while no table is compared in chunks the
   * servers need not keep it.
   */
  wanted = true;

  /** A transaction of the publisher's stream. */
  readonly record = (transaction: StreamedTransaction): void => {
    if (transaction.cutKeys) this.cut = true;
    for (const change of transaction.changes) {
      // Without an old key it is the same one; with the whole old row it may be.
      if (change.kind === 'update' && change.old !== null) this.hold(tableId(change.relation), change);
    }
  };

  /** Nothing of the table was compared yet: what moved in it is of no account. */
  forget(table: TableName): void {
    this.held.delete(tableId(table));
  }

  /** Whether there is nothing to take of it. */
  isEmpty(table: TableName): boolean {
    return !this.held.has(tableId(table));
  }

  /** Whether a transaction was cut short since this was last asked in which keys changed: nobody knows of what table. */
  takeCut(): boolean {
    const { cut } = this;
    this.cut = false;
    return cut;
  }

  /** What moved since it was last taken; null: that is not known. */
  take(shape: TableShape): KeyMove[] | null {
    const id = tableId(shape);
    const table = { shape, positions: keyPositions(shape), reader: new ChangeReader(shape) };
    this.known.set(id, table);
    const held = this.held.get(id);
    this.held.delete(id);
    if (held === undefined) return [];
    if (held === null) return null;
    const moves = [...held.moves];
    for (const change of held.changes) {
      const move = moveOf(change, table);
      if (move === 'unknown') return null;
      if (move !== null) moves.push(move);
    }
    return moves;
  }

  private hold(id: string, change: StreamedRowChange): void {
    const held = this.held.get(id);
    if (held === null) return;
    const table = this.known.get(id);
    const { changes, characters, moves } = held ?? { changes: [], characters: 0, moves: [] };
    const move = table === undefined ? undefined : moveOf(change, table);
    if (move === null) return;
    const size = characters + (move === undefined ? sizeOf(change) : 0);
    const isTooMuch = changes.length + moves.length >= MOST_CHANGES || size > MOST_CHARACTERS;
    if (isTooMuch || move === 'unknown') {
      this.held.set(id, null);
      return;
    }
    if (move === undefined) changes.push(change);
    else moves.push(move);
    this.held.set(id, { changes, characters: size, moves });
  }
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
