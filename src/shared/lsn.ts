/**
 * A position in the write-ahead log, in bytes. Held as bigint because comparing the `X/Y` text form is wrong:
 * servers and libraries pad it differently.
 */
export type Lsn = bigint & { readonly __lsn: unique symbol };

const LSN_TEXT = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

export const ZERO_LSN = 0n as Lsn;

/** Reads PostgreSQL's `X/Y` form. Throws RangeError on anything else. */
export function parseLsn(text: string): Lsn {
  const match = LSN_TEXT.exec(text);
  if (!match) throw new RangeError(`not an LSN: ${JSON.stringify(text)}`);
  return ((BigInt(`0x${match[1]!}`) << 32n) | BigInt(`0x${match[2]!}`)) as Lsn;
}

/** Writes PostgreSQL's `X/Y` form, upper case and unpadded as servers up to 18 print it. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}

export function toLsn(value: bigint): Lsn {
  if (value < 0n || value > 0xffffffffffffffffn) throw new RangeError(`not an LSN: ${value.toString()}`);
  return value as Lsn;
}

export function maxLsn(a: Lsn, b: Lsn): Lsn {
  return a > b ? a : b;
}
