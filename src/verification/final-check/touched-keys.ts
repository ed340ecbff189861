import type { Relation, StreamedTransaction } from '../../postgres/replication/streamed-transaction.js';
import { maxLsn, ZERO_LSN, type Lsn } from '../../shared/lsn.js';
import {
  ChangeReader,
  keyPositions,
  keysOf,
  keyText,
  TableMoved,
  type RowChange,
  type StreamedRowChange,
} from '../at-rest/row-changes.js';
import type { KeysByTable } from '../at-rest/table-ledger.js';
import { tableId, type TableShape } from '../at-rest/table-shape.js';
import { RowDeltas } from './row-deltas.js';

/** What happened to a table without a key, as each side's stream told it. */
export interface KeylessTable {
  shape: TableShape;
  published: RowDeltas;
  applied: RowDeltas;
}

interface TouchedTable extends KeylessTable {
  positions: number[];
  /** Whether both servers print a key the same way. */
  sameKeys: boolean;
  onPublisher: ChangeReader;
  onSubscriber: ChangeReader;
  /** Key (as JSON, in the publisher's form) to the end LSN of the last transaction that touched it. */
  keys: Map<string, Lsn>;
}

/** Why what was touched up to the LSN is not known completely; a verification at or past it makes it whole again. */
interface Gap {
  reason: string;
  lsn: Lsn;
}

/**
 * What the publisher's transactions have touched since the last verified LSN, so that a final check compares exactly
 * that: keys, and for tables without a key the rows that came and went on each side. Fed from both ends' streams.
 */
export class TouchedKeys {
  private readonly tables = new Map<string, TouchedTable>();
  /** A server describes a table anew after each change of its catalog entry, statistics included. */
  private readonly relations = new WeakMap<Relation, TouchedTable | null>();
  private gap: Gap | null = null;
  /** No fewer than are held; counted over all tables only once these pass a limit. */
  private atMost = { entries: 0, characters: 0 };
  private verified = ZERO_LSN;

  constructor(
    /** Every table of the link as it was verified. */
    shapes: readonly TableShape[],
    /** `pg_<oid of the subscription>`: its transactions are those applied from the publisher. */
    private readonly origin: string,
    /** Keys and row images held at most; past it the answer is `overflow`. */
    private readonly limit = 1_000_000,
    /** Characters of row images held at most. */
    private readonly imageLimit = 128 * 1024 * 1024,
  ) {
    for (const shape of shapes) {
      this.tables.set(tableId(shape), {
        shape,
        positions: keyPositions(shape),
        sameKeys: shape.key?.every(({ conversion }) => conversion === 'none') ?? false,
        onPublisher: new ChangeReader(shape),
        onSubscriber: new ChangeReader(shape, 'ignored'),
        keys: new Map(),
        published: new RowDeltas(),
        applied: new RowDeltas(),
      });
    }
  }

  /** How many keys and row images are held. */
  get size(): number {
    let size = 0;
    for (const { keys, published, applied } of this.tables.values()) size += keys.size + published.size + applied.size;
    return size;
  }

  /** Why the touched rows are not known completely (so that tables must be verified again); null while they are. */
  get overflow(): string | null {
    return this.gap?.reason ?? null;
  }

  /** Notes a transaction of the publisher's stream. Those at or below the verified LSN are ignored. */
  record(transaction: StreamedTransaction): void {
    if (transaction.endLsn <= this.verified) return;
    this.note(transaction, transaction.endLsn, (table, change) => {
      const row = table.onPublisher.read(change);
      if (table.shape.key) touch(table, row, transaction.endLsn);
      else this.atMost.characters += table.published.add(row, transaction.endLsn);
    });
  }

  /**
   * Notes a transaction of the subscriber's own stream; only those applied from the publisher count. Their keys are those
   * the publisher's stream told, and what triggers wrote besides: that is in no other stream.
   */
  recordApplied(transaction: StreamedTransaction): void {
    const { origin } = transaction;
    if (origin?.name !== this.origin || origin.lsn <= this.verified) return;
    this.note(transaction, origin.lsn, (table, change) => {
      if (!table.shape.key) this.atMost.characters += table.applied.add(table.onSubscriber.read(change), origin.lsn);
      else if (table.sameKeys) touchIfKnown(table, change, origin.lsn);
    });
  }

  /** Everything up to `verified` has been compared: forgets what was touched by then. */
  reset(verified: Lsn): void {
    this.verified = verified;
    for (const { keys, published, applied } of this.tables.values()) {
      for (const [key, lsn] of keys) if (lsn <= verified) keys.delete(key);
      published.forget(verified);
      applied.forget(verified);
    }
    if (this.gap && this.gap.lsn <= verified) this.gap = null;
  }

  /** The touched keys of every table that has one and was touched. */
  keys(): KeysByTable {
    const touched = [...this.tables].filter(([, { keys }]) => keys.size > 0);
    return new Map(touched.map(([id, { keys }]) => [id, [...keys.keys()].map((key) => JSON.parse(key) as string[])]));
  }

  /** The tables with those quoted names. */
  shapesOf(ids: readonly string[]): TableShape[] {
    return ids.map((id) => this.tables.get(id)!.shape);
  }

  /** Tables of which anything was touched. */
  touchedTables(): TableShape[] {
    const touched = [...this.tables.values()].filter(
      ({ keys, published, applied }) => keys.size + published.size + applied.size > 0,
    );
    return touched.map(({ shape }) => shape);
  }

  /** Touched tables without a key, with what each side's stream says happened to them. */
  keyless(): KeylessTable[] {
    return [...this.tables.values()].filter(
      ({ shape, published, applied }) => !shape.key && published.size + applied.size > 0,
    );
  }

  private note(
    transaction: StreamedTransaction,
    lsn: Lsn,
    each: (table: TouchedTable, change: StreamedRowChange) => void,
  ): void {
    if (transaction.overflow) this.lose('a transaction was too large to be followed row by row', lsn);
    try {
      for (const change of transaction.changes) {
        const relations = change.kind === 'truncate' ? change.relations : [change.relation];
        for (const relation of relations) {
          const table = this.tableOf(relation);
          if (!table) this.lose(`${tableId(relation)} was not part of the last verification`, lsn);
          else if (change.kind === 'truncate') this.lose(`${tableId(relation)} was truncated`, lsn);
          else each(table, change);
        }
      }
    } catch (error) {
      if (!(error instanceof TableMoved)) throw error;
      this.lose(error.reason, lsn);
    }
    // A change has two rows at most.
    this.atMost.entries += 2 * transaction.changes.length;
    if (this.atMost.entries > this.limit || this.atMost.characters > this.imageLimit) this.keepWithinLimits(lsn);
  }

  private keepWithinLimits(lsn: Lsn): void {
    let characters = 0;
    for (const { published, applied } of this.tables.values()) characters += published.characters + applied.characters;
    this.atMost = { entries: this.size, characters };
    if (this.atMost.entries <= this.limit && characters <= this.imageLimit) return;
    const what =
      this.atMost.entries > this.limit ? `${this.limit} rows` : `${this.imageLimit} characters of rows without a key`;
    this.lose(`more than ${what} were touched since the last verification`, lsn);
    for (const { keys, published, applied } of this.tables.values()) {
      keys.clear();
      published.clear();
      applied.clear();
    }
    this.atMost = { entries: 0, characters: 0 };
  }

  /** Both streams feed this, so LSNs of the publisher need not come in order. */
  private lose(reason: string, lsn: Lsn): void {
    this.gap = { reason: this.gap?.reason ?? reason, lsn: maxLsn(this.gap?.lsn ?? ZERO_LSN, lsn) };
  }

  private tableOf(relation: Relation): TouchedTable | null {
    let table = this.relations.get(relation);
    if (table === undefined) {
      table = this.tables.get(tableId(relation)) ?? null;
      this.relations.set(relation, table);
    }
    return table;
  }
}

function touch({ keys, positions }: TouchedTable, change: RowChange, lsn: Lsn): void {
  const { before, after } = keysOf(change, positions);
  for (const key of [before, after]) {
    if (!key) continue;
    const text = keyText(key);
    // The subscriber tells of a key after the publisher may have told of a later change of it.
    keys.set(text, maxLsn(keys.get(text) ?? ZERO_LSN, lsn));
  }
}

/** A subscriber's replica identity need not carry the key; the publisher's stream tells of what it applied. */
function touchIfKnown(table: TouchedTable, change: StreamedRowChange, lsn: Lsn): void {
  try {
    touch(table, table.onSubscriber.read(change), lsn);
  } catch (error) {
    if (!(error instanceof TableMoved)) throw error;
  }
}
