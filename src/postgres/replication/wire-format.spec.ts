import { describe, expect, it } from '@jest/globals';
import { toLsn } from '../../shared/lsn.js';
import { startReplicationCommand } from './start-replication.js';
import { encodeStandbyStatus } from './standby-status.js';

describe('standby status', () => {
  it('carries the three positions as they are, and the time since 2000-01-01', () => {
    const packet = encodeStandbyStatus(
      { write: toLsn(0x1_ffff_ffffn), flush: toLsn(2n), apply: toLsn(3n), replyRequested: true },
      Date.UTC(2000, 0, 1, 0, 0, 0, 1),
    );
    expect(packet).toHaveLength(34);
    expect(packet.toString('latin1', 0, 1)).toBe('r');
    expect([1, 9, 17, 25].map((at) => packet.readBigUInt64BE(at))).toEqual([0x1_ffff_ffffn, 2n, 3n, 1000n]);
    expect(packet[33]).toBe(1);
  });
});

describe('START_REPLICATION', () => {
  const request = {
    slotName: 's1',
    startLsn: toLsn(0x1_0000_00abn),
    publications: ['a', `o'dd, "Pub"\\`],
    messages: true,
    origin: 'none' as const,
  };

  it('quotes every name and leaves out options the server does not know', () => {
    const start = `START_REPLICATION SLOT "s1" LOGICAL 1/AB (proto_version '1', publication_names '"a","o''dd, ""Pub""\\"'`;
    expect(startReplicationCommand(request, 130012)).toBe(`${start})`);
    expect(startReplicationCommand(request, 140012)).toBe(`${start}, messages 'true')`);
    expect(startReplicationCommand(request, 160001)).toBe(`${start}, messages 'true', origin 'none')`);
    expect(startReplicationCommand({ ...request, messages: false, origin: 'any' }, 180000)).toBe(`${start})`);
    const twoPhase = { ...request, messages: false, twoPhase: true };
    expect(startReplicationCommand(twoPhase, 160001)).toBe(
      `${start.replace(`proto_version '1'`, `proto_version '3'`)}, origin 'none', two_phase 'on')`,
    );
  });
});
