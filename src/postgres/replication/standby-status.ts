import type { Lsn } from '../../shared/lsn.js';

/** 2000-01-01 00:00 UTC in milliseconds of the Unix clock: where PostgreSQL counts microseconds from. */
const POSTGRES_EPOCH_MS = 946_684_800_000;

export interface StandbyStatus {
  /** Received. */
  write: Lsn;
  /** Durably processed: the slot's confirmed_flush_lsn, hence what the server may forget. */
  flush: Lsn;
  /** Handled. */
  apply: Lsn;
  /** Ask the server for a keepalive at once. */
  replyRequested: boolean;
}

/**
 * The standby status update ('r') of the streaming replication protocol. The positions are "next byte" positions
 * as `endLsn` already is: adding one would skip a commit record that starts exactly there.
 */
export function encodeStandbyStatus(status: StandbyStatus, nowMs: number): Buffer {
  const packet = Buffer.alloc(34);
  packet.write('r', 0, 'latin1');
  packet.writeBigUInt64BE(status.write, 1);
  packet.writeBigUInt64BE(status.flush, 9);
  packet.writeBigUInt64BE(status.apply, 17);
  packet.writeBigInt64BE(BigInt(nowMs - POSTGRES_EPOCH_MS) * 1000n, 25);
  packet.writeUInt8(status.replyRequested ? 1 : 0, 33);
  return packet;
}
