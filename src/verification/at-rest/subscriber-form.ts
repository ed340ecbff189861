import type { Session } from '../../postgres/session.js';
import type { ColumnValue } from '../../postgres/replication/streamed-transaction.js';
import type { RowChange, RowValues } from './row-changes.js';
import { castAsApplied, outputText, type TableShape } from './table-shape.js';

/**
 * Brings streamed values of columns whose types differ into the form they have on the subscriber, by letting the
 * subscriber read and print them. Other columns are left as they are.
 */
export class SubscriberForm {
  private readonly known = new Map<number, Map<string, string>>();

  private constructor(private readonly shape: TableShape) {}

  /** Learns the subscriber's form of every value in `rows` (publisher's texts, in the shape's column order). */
  static async of(shape: TableShape, subscriber: Session, rows: Iterable<RowValues>): Promise<SubscriberForm> {
    const form = new SubscriberForm(shape);
    const casts = shape.columns.flatMap((column, position) => (column.conversion === 'cast' ? [position] : []));
    if (casts.length === 0) return form;
    const images = [...rows];
    for (const position of casts) {
      const texts = [...new Set(images.map((row) => row[position]).filter((value) => typeof value === 'string'))];
      if (texts.length === 0) continue;
      const printed = outputText(`(${castAsApplied(shape.columns[position]!, 'v')})`);
      const found = await subscriber.rows<{ v: string; form: string }>(
        `select v, ${printed} as form from pg_catalog.unnest($1::text[]) v`,
        [texts],
      );
      form.known.set(position, new Map(found.map(({ v, form: text }) => [v, text])));
    }
    return form;
  }

  apply(row: RowValues): RowValues {
    if (this.known.size === 0) return row;
    return row.map((value, position) => this.value(value, position));
  }

  applyToChange(change: RowChange): RowChange {
    switch (change.kind) {
      case 'insert':
        return { ...change, row: this.apply(change.row) };
      case 'delete':
        return { ...change, old: this.apply(change.old) };
      case 'update':
        return { ...change, old: change.old && this.apply(change.old), row: this.apply(change.row) };
    }
  }

  applyToKey(key: readonly string[], positions: readonly number[]): string[] {
    return key.map((value, index) => this.value(value, positions[index]!) as string);
  }

  private value(value: ColumnValue, position: number): ColumnValue {
    if (typeof value !== 'string') return value;
    return this.known.get(position)?.get(value) ?? value;
  }
}

/** Every row image that changes carry. */
export function imagesOf(changes: readonly RowChange[]): RowValues[] {
  return changes.flatMap((change) => {
    switch (change.kind) {
      case 'insert':
        return [change.row];
      case 'delete':
        return [change.old];
      case 'update':
        return change.old ? [change.old, change.row] : [change.row];
    }
  });
}
