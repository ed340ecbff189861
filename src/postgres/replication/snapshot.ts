const SNAPSHOT_TEXT = /^(\d+):(\d+):(\d+(?:,\d+)*)?$/;
const WRAP = 1n << 32n;
const HALF = 1n << 31n;

/**
 * What `pg_current_snapshot()` says: the full (64-bit) transaction ids a snapshot can and cannot see.
 *
 * A transaction known to have committed is visible exactly when its xid is below `xmax` and not in `inProgress`;
 * neither commit order nor any LSN decides that.
 */
export class Snapshot {
  private constructor(
    /** Everything below had ended. */
    readonly xmin: bigint,
    /** Nothing from here on had ended. */
    readonly xmax: bigint,
    readonly inProgress: ReadonlySet<bigint>,
  ) {}

  /** Reads the text form `xmin:xmax:xip,xip,...` of pg_snapshot. Throws RangeError on anything else. */
  static parse(text: string): Snapshot {
    const match = SNAPSHOT_TEXT.exec(text);
    if (!match) throw new RangeError(`not a pg_snapshot: ${JSON.stringify(text)}`);
    const inProgress = match[3] === undefined ? [] : match[3].split(',').map((xid) => BigInt(xid));
    return new Snapshot(BigInt(match[1]!), BigInt(match[2]!), new Set(inProgress));
  }

  /**
   * The full xid of a 32-bit one seen near this snapshot. Xids in use lie within 2^31 of each other, so the nearest
   * full xid with those low bits is the one.
   */
  widen(xid: number): bigint {
    const candidate = (this.xmax & ~(WRAP - 1n)) | BigInt(xid);
    if (candidate - this.xmax >= HALF && candidate >= WRAP) return candidate - WRAP;
    if (this.xmax - candidate > HALF) return candidate + WRAP;
    return candidate;
  }

  /** Whether a transaction that has committed is in the snapshot. `xid` is the unsigned 32-bit top-level xid. */
  visible(xid: number): boolean {
    return this.sees(this.widen(xid));
  }

  /** As `visible`, for a full xid. */
  sees(fullXid: bigint): boolean {
    return fullXid < this.xmax && !this.inProgress.has(fullXid);
  }
}
