import { presentDifference } from '../present-verification.js';
import type { StoredDifference } from '../verification.repository.js';

const HEADER = ['schema', 'table', 'kind', 'key', 'count', 'column', 'publisher', 'subscriber', 'publisherLsn'];

/**
 * As CSV (RFC 4180): a line for each column that differs, of a missing or extra row for each column it has. A field
 * that is not quoted and empty is NULL, or no row; the empty text is `""`.
 */
export async function* asCsv(differences: AsyncIterable<StoredDifference>): AsyncGenerator<string> {
  yield line(HEADER);
  for await (const { schema, table, kind, key, count, columns, publisherLsn } of differences) {
    const row = [schema, table, kind, key && JSON.stringify(key), String(count)];
    const named = columns.length > 0 ? columns : [{ name: null, publisher: null, subscriber: null }];
    yield named
      .map(({ name, publisher, subscriber }) => line([...row, name, publisher, subscriber, publisherLsn]))
      .join('');
  }
}

/** As one JSON array of what the list has. */
export async function* asJson(differences: AsyncIterable<StoredDifference>): AsyncGenerator<string> {
  let separator = '[\n';
  for await (const difference of differences) {
    yield separator + JSON.stringify(presentDifference(difference));
    separator = ',\n';
  }
  yield separator === '[\n' ? '[]\n' : '\n]\n';
}

function line(fields: readonly (string | null)[]): string {
  return `${fields.map(field).join(',')}\r\n`;
}

function field(value: string | null): string {
  if (value === null) return '';
  return value === '' || /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
