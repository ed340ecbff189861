import type { StoredDifference } from '../verification.repository.js';

/** The difference with another text for each value; NULL, and the names of columns, stay. */
export function withValues(difference: StoredDifference, of: (value: string) => string): StoredDifference {
  const shown = (value: string | null) => (value === null ? null : of(value));
  const { key, columns } = difference;
  return {
    ...difference,
    key: key && Object.fromEntries(Object.entries(key).map(([name, value]) => [name, shown(value)])),
    columns: columns.map(({ name, publisher, subscriber }) => ({
      name,
      publisher: shown(publisher),
      subscriber: shown(subscriber),
    })),
  };
}
