import type { Client } from 'pg';
import { Problem } from '../../problems/problem.js';
import { FIRST_XID, sourceSlotSql } from '../catalog/source-state.sql.js';
import { parseLsn, type Lsn } from '../../shared/lsn.js';

/** What a replication connection finds out about the server and its slot before it starts streaming. */
export interface SourceState {
  versionNum: number;
  systemIdentifier: string;
  /** How far the server's WAL is safely written. */
  flushLsn: Lsn;
  /** In milliseconds; 0 when the server never gives up on a silent client. */
  walSenderTimeoutMs: number;
  /** The slot's own position: every commit that starts below it was confirmed by a reader. */
  slotConfirmed: Lsn;
  /**
   * A full xid that no transaction had which committed below `slotConfirmed`: they all are older. Null on a standby,
   * which gives out no xids.
   */
  firstXid: bigint | null;
  /** The server's clock then, as text of a timestamptz. */
  readAt: string;
}

interface SlotRow {
  version: number;
  timeout: number;
  at: string;
  plugin: string | null;
  slot_type: string;
  database: string | null;
  current: string;
  confirmed: string | null;
  wal_status: string | null;
}

/** `client` is a walsender connection, which takes replication commands and simple queries only. */
export async function readSourceState(client: Client, slotName: string): Promise<SourceState> {
  const system = await client.query<{ systemid: string; xlogpos: string }>('IDENTIFY_SYSTEM');
  const slots = await client.query<SlotRow>(sourceSlotSql(client.escapeLiteral(slotName)));
  const slot = slots.rows[0];
  if (!slot) throw new Problem('NOT_FOUND', `replication slot "${slotName}" does not exist`);
  if (slot.slot_type !== 'logical' || slot.plugin !== 'pgoutput' || slot.database !== slot.current) {
    throw new Problem('PREREQUISITE_FAILED', `replication slot "${slotName}" is not a pgoutput slot of this database`);
  }
  if (slot.wal_status === 'lost' || slot.confirmed === null) {
    throw new Problem('PREREQUISITE_FAILED', `replication slot "${slotName}" has lost WAL it needed`, {
      hint: 'Drop the slot, create it anew, and verify or copy again: what it missed cannot be streamed any more.',
    });
  }
  // Read after the slot's position, so that every transaction below that position has an older xid.
  const xid = await client.query<{ first: string | null }>(FIRST_XID);
  const first = xid.rows[0]!.first;
  return {
    versionNum: slot.version,
    systemIdentifier: system.rows[0]!.systemid,
    flushLsn: parseLsn(system.rows[0]!.xlogpos),
    walSenderTimeoutMs: slot.timeout,
    slotConfirmed: parseLsn(slot.confirmed),
    firstXid: first === null ? null : BigInt(first),
    readAt: slot.at,
  };
}
