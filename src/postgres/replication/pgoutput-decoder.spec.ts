import { describe, expect, it } from '@jest/globals';
import { Problem } from '../../problems/problem.js';
import { PgoutputDecoder } from './pgoutput-decoder.js';
import { UNCHANGED } from './streamed-transaction.js';

const LSN = 0xffff_ffff_ffff_fff0n;
const XID = 0xfffffff0;
const OID = 0x80000001;

/** Strings are zero-terminated, numbers are single bytes, the rest are buffers. */
function bytes(...parts: (string | number | Buffer)[]): Buffer {
  return Buffer.concat(
    parts.map((part) => (Buffer.isBuffer(part) ? part : Buffer.from(typeof part === 'string' ? `${part}\0` : [part]))),
  );
}
const tag = (letter: string) => letter.charCodeAt(0);
const u16 = (value: number) => Buffer.from([value >> 8, value & 255]);
const u32 = (value: number) => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
};
const u64 = (value: bigint) => {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64BE(value);
  return buffer;
};
const text = (value: string) => bytes(tag('t'), u32(Buffer.byteLength(value)), Buffer.from(value));
const tuple = (...values: Buffer[]) => bytes(u16(values.length), ...values);
const decode = (...parts: (string | number | Buffer)[]) => new PgoutputDecoder().decode(bytes(...parts));

describe('pgoutput decoder', () => {
  it('reads transaction messages with unsigned xids and 64-bit LSNs', () => {
    expect(decode(tag('B'), u64(LSN), u64(7n), u32(XID))).toEqual({
      tag: 'begin',
      finalLsn: LSN,
      commitTimeMicros: 7n,
      xid: XID,
    });
    expect(decode(tag('C'), 0, u64(5n), u64(LSN), u64(7n))).toEqual({
      tag: 'commit',
      commitLsn: 5n,
      endLsn: LSN,
      commitTimeMicros: 7n,
    });
    expect(decode(tag('O'), u64(LSN), 'pg_16394')).toEqual({ tag: 'origin', lsn: LSN, name: 'pg_16394' });
  });

  it('reads relations and types with unsigned oids, and the empty schema name as pg_catalog', () => {
    const column = bytes(1, 'id', u32(23), u32(0xffffffff));
    expect(decode(tag('R'), u32(OID), '', 'Ta"ble', tag('d'), u16(1), column)).toEqual({
      tag: 'relation',
      streamXid: null,
      relation: {
        oid: OID,
        schema: 'pg_catalog',
        name: 'Ta"ble',
        replicaIdentity: 'd',
        columns: [{ name: 'id', key: true, typeOid: 23, typeModifier: -1 }],
      },
    });
    expect(decode(tag('Y'), u32(OID), 'public', 'mood')).toMatchObject({ tag: 'type', oid: OID, name: 'mood' });
  });

  it('keeps null, unchanged, empty and text apart', () => {
    const values = tuple(Buffer.from('n'), Buffer.from('u'), text(''), text('ü'));
    expect(decode(tag('I'), u32(OID), tag('N'), values)).toEqual({
      tag: 'insert',
      streamXid: null,
      relationOid: OID,
      new: [null, UNCHANGED, '', 'ü'],
    });
  });

  it.each([
    ['K', 'key'],
    ['O', 'full'],
  ])('reads old tuples of kind %s', (letter, kind) => {
    const [old, fresh] = [tuple(text('1')), tuple(text('2'))];
    expect(decode(tag('U'), u32(9), tag(letter), old, tag('N'), fresh)).toMatchObject({
      old: { kind, tuple: ['1'] },
      new: ['2'],
    });
    expect(decode(tag('U'), u32(9), tag('N'), fresh)).toMatchObject({ old: null, new: ['2'] });
    expect(decode(tag('D'), u32(9), tag(letter), old)).toMatchObject({ tag: 'delete', old: { kind, tuple: ['1'] } });
  });

  it('reads truncations and logical messages', () => {
    expect(decode(tag('T'), u32(2), 3, u32(OID), u32(5))).toEqual({
      tag: 'truncate',
      streamXid: null,
      relationOids: [OID, 5],
      cascade: true,
      restartIdentity: true,
    });
    expect(decode(tag('M'), 1, u64(LSN), 'pre', u32(2), 0, 255)).toEqual({
      tag: 'message',
      streamXid: null,
      transactional: true,
      lsn: LSN,
      prefix: 'pre',
      content: Buffer.from([0, 255]),
    });
  });

  it('does not keep memory the driver will overwrite', () => {
    const buffer = bytes(tag('M'), 1, u64(LSN), 'pre', u32(2), 7, 8);
    const message = new PgoutputDecoder().decode(buffer);
    buffer.fill(0);
    expect(message).toMatchObject({ prefix: 'pre', content: Buffer.from([7, 8]) });
  });

  it('expects a further xid only between Stream Start and Stream Stop', () => {
    const decoder = new PgoutputDecoder();
    const insert = (...xid: Buffer[]) => bytes(tag('I'), ...xid, u32(9), tag('N'), tuple(text('1')));
    expect(decoder.decode(bytes(tag('S'), u32(XID), 1))).toEqual({ tag: 'stream-start', xid: XID, firstSegment: true });
    expect(decoder.decode(insert(u32(XID)))).toMatchObject({ streamXid: XID, relationOid: 9, new: ['1'] });
    expect(decoder.decode(bytes(tag('T'), u32(XID), u32(1), 0, u32(9)))).toMatchObject({
      streamXid: XID,
      relationOids: [9],
    });
    expect(decoder.decode(bytes(tag('E')))).toEqual({ tag: 'stream-stop' });
    expect(decoder.decode(insert())).toMatchObject({ streamXid: null, relationOid: 9 });
  });

  it('reads the end of streamed transactions, with and without the abort position of protocol 4', () => {
    expect(decode(tag('c'), u32(XID), 0, u64(1n), u64(2n), u64(3n))).toEqual({
      tag: 'stream-commit',
      xid: XID,
      commitLsn: 1n,
      endLsn: 2n,
      commitTimeMicros: 3n,
    });
    expect(decode(tag('A'), u32(XID), u32(6))).toEqual({ tag: 'stream-abort', xid: XID, subxid: 6, abort: null });
    expect(decode(tag('A'), u32(XID), u32(6), u64(LSN), u64(3n))).toMatchObject({
      abort: { lsn: LSN, timeMicros: 3n },
    });
  });

  it('reads two-phase messages', () => {
    const prepare = bytes(u64(1n), u64(2n), u64(3n), u32(XID), 'gid');
    const prepared = { prepareLsn: 1n, endLsn: 2n, prepareTimeMicros: 3n, xid: XID, gid: 'gid' };
    expect(decode(tag('b'), prepare)).toEqual({ tag: 'begin-prepare', ...prepared });
    expect(decode(tag('P'), 0, prepare)).toEqual({ tag: 'prepare', ...prepared });
    expect(decode(tag('p'), 0, prepare)).toEqual({ tag: 'stream-prepare', ...prepared });
    expect(decode(tag('K'), 0, prepare)).toEqual({
      tag: 'commit-prepared',
      commitLsn: 1n,
      endLsn: 2n,
      commitTimeMicros: 3n,
      xid: XID,
      gid: 'gid',
    });
    expect(decode(tag('r'), 0, u64(1n), u64(2n), u64(3n), u64(4n), u32(XID), 'gid')).toEqual({
      tag: 'rollback-prepared',
      prepareEndLsn: 1n,
      endLsn: 2n,
      prepareTimeMicros: 3n,
      rollbackTimeMicros: 4n,
      xid: XID,
      gid: 'gid',
    });
  });

  it.each([
    ['an unknown kind', bytes(tag('z'))],
    ['a binary value that was not asked for', bytes(tag('I'), u32(9), tag('N'), tuple(bytes(tag('b'), u32(1), 1)))],
    ['a message cut short', bytes(tag('B'), u32(1))],
    ['an unterminated name', bytes(tag('O'), u64(1n), Buffer.from('pg'))],
    ['a value longer than the message', bytes(tag('I'), u32(9), tag('N'), u16(1), tag('t'), u32(99))],
    ['nothing', Buffer.alloc(0)],
  ])('refuses %s with a problem', (_what, buffer) => {
    expect(() => new PgoutputDecoder().decode(buffer)).toThrow(Problem);
  });
});
