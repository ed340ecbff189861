/** One whole statement and the first server version it is for. */
export interface Variant {
  /** `server_version_num` of the first release that takes this text, e.g. 150000. */
  since: number;
  sql: string;
}

/**
 * The newest statement that the server understands. Variants are whole statements, never patched together, and
 * all variants of a query return the same named columns.
 */
export function variantFor(variants: readonly Variant[], versionNum: number): string {
  const fitting = variants.filter(({ since }) => since <= versionNum);
  const newest = fitting.sort((a, b) => b.since - a.since)[0];
  if (!newest) throw new RangeError(`no statement for server_version_num ${versionNum}`);
  return newest.sql;
}
