import { toLsn, type Lsn } from '../../shared/lsn.js';
import { Problem } from '../../problems/problem.js';
import type { OldTuple, PgoutputMessage } from './pgoutput-messages.js';
import { UNCHANGED, type ColumnValue, type Relation, type RelationColumn, type Tuple } from './streamed-transaction.js';

/**
 * Decodes pgoutput messages of protocol versions 1 to 4 in text mode. Stateful in one thing only: between Stream
 * Start and Stream Stop most messages carry a further xid. Nothing it returns refers to the buffer given, which
 * the driver overwrites as soon as the next bytes arrive.
 *
 * `decode` throws a Problem on anything it does not know; the caller decides what that ends.
 */
export class PgoutputDecoder {
  private inStream = false;

  decode(buffer: Buffer): PgoutputMessage {
    const reader = new Reader(buffer);
    try {
      return this.read(reader);
    } catch (error) {
      if (error instanceof RangeError) {
        throw new Problem('SERVER_FAILED', `a pgoutput message of ${buffer.length} bytes is cut short or malformed`, {
          cause: error,
        });
      }
      throw error;
    }
  }

  private read(reader: Reader): PgoutputMessage {
    const tag = reader.char();
    switch (tag) {
      case 'B':
        return { tag: 'begin', finalLsn: reader.lsn(), commitTimeMicros: reader.int64(), xid: reader.uint32() };
      case 'C':
        reader.uint8(); // flags, unused
        return { tag: 'commit', commitLsn: reader.lsn(), endLsn: reader.lsn(), commitTimeMicros: reader.int64() };
      case 'O':
        return { tag: 'origin', lsn: reader.lsn(), name: reader.text() };
      case 'R':
        return { tag: 'relation', streamXid: this.streamXid(reader), relation: readRelation(reader) };
      case 'Y':
        return {
          tag: 'type',
          streamXid: this.streamXid(reader),
          oid: reader.uint32(),
          schema: schemaName(reader.text()),
          name: reader.text(),
        };
      case 'I': {
        const streamXid = this.streamXid(reader);
        const relationOid = reader.uint32();
        expectMarker(reader, 'N');
        return { tag: 'insert', streamXid, relationOid, new: readTuple(reader) };
      }
      case 'U':
        return this.readUpdate(reader);
      case 'D': {
        const streamXid = this.streamXid(reader);
        const relationOid = reader.uint32();
        return { tag: 'delete', streamXid, relationOid, old: readOldTuple(reader, reader.char()) };
      }
      case 'T':
        return this.readTruncate(reader);
      case 'M':
        return {
          tag: 'message',
          streamXid: this.streamXid(reader),
          transactional: (reader.uint8() & 1) !== 0,
          lsn: reader.lsn(),
          prefix: reader.text(),
          content: reader.bytes(reader.uint32()),
        };
      default:
        return this.readStreamOrPrepared(tag, reader);
    }
  }

  private readStreamOrPrepared(tag: string, reader: Reader): PgoutputMessage {
    switch (tag) {
      case 'S':
        this.inStream = true;
        return { tag: 'stream-start', xid: reader.uint32(), firstSegment: reader.uint8() === 1 };
      case 'E':
        this.inStream = false;
        return { tag: 'stream-stop' };
      case 'c': {
        const xid = reader.uint32();
        reader.uint8(); // flags, unused
        return {
          tag: 'stream-commit',
          xid,
          commitLsn: reader.lsn(),
          endLsn: reader.lsn(),
          commitTimeMicros: reader.int64(),
        };
      }
      case 'A': {
        const xid = reader.uint32();
        const subxid = reader.uint32();
        // Only with `streaming 'parallel'` (protocol 4) does the server say where and when.
        const abort = reader.remaining >= 16 ? { lsn: reader.lsn(), timeMicros: reader.int64() } : null;
        return { tag: 'stream-abort', xid, subxid, abort };
      }
      case 'b':
        return { tag: 'begin-prepare', ...readPrepare(reader) };
      case 'P':
        reader.uint8(); // flags, unused
        return { tag: 'prepare', ...readPrepare(reader) };
      case 'p':
        reader.uint8(); // flags, unused
        return { tag: 'stream-prepare', ...readPrepare(reader) };
      case 'K':
        reader.uint8(); // flags, unused
        return {
          tag: 'commit-prepared',
          commitLsn: reader.lsn(),
          endLsn: reader.lsn(),
          commitTimeMicros: reader.int64(),
          xid: reader.uint32(),
          gid: reader.text(),
        };
      case 'r':
        reader.uint8(); // flags, unused
        return {
          tag: 'rollback-prepared',
          prepareEndLsn: reader.lsn(),
          endLsn: reader.lsn(),
          prepareTimeMicros: reader.int64(),
          rollbackTimeMicros: reader.int64(),
          xid: reader.uint32(),
          gid: reader.text(),
        };
      default:
        throw new Problem('SERVER_FAILED', `the server sent a pgoutput message of unknown kind ${JSON.stringify(tag)}`);
    }
  }

  private readUpdate(reader: Reader): PgoutputMessage {
    const streamXid = this.streamXid(reader);
    const relationOid = reader.uint32();
    const marker = reader.char();
    if (marker === 'N') return { tag: 'update', streamXid, relationOid, old: null, new: readTuple(reader) };
    const old = readOldTuple(reader, marker);
    expectMarker(reader, 'N');
    return { tag: 'update', streamXid, relationOid, old, new: readTuple(reader) };
  }

  private readTruncate(reader: Reader): PgoutputMessage {
    const streamXid = this.streamXid(reader);
    const count = reader.uint32();
    const options = reader.uint8();
    const relationOids: number[] = [];
    for (let i = 0; i < count; i++) relationOids.push(reader.uint32());
    return {
      tag: 'truncate',
      streamXid,
      relationOids,
      cascade: (options & 1) !== 0,
      restartIdentity: (options & 2) !== 0,
    };
  }

  private streamXid(reader: Reader): number | null {
    return this.inStream ? reader.uint32() : null;
  }
}

function readPrepare(reader: Reader) {
  return {
    prepareLsn: reader.lsn(),
    endLsn: reader.lsn(),
    prepareTimeMicros: reader.int64(),
    xid: reader.uint32(),
    gid: reader.text(),
  };
}

function readRelation(reader: Reader): Relation {
  const oid = reader.uint32();
  const schema = schemaName(reader.text());
  const name = reader.text();
  const replicaIdentity = reader.char();
  if (replicaIdentity !== 'd' && replicaIdentity !== 'n' && replicaIdentity !== 'f' && replicaIdentity !== 'i') {
    throw new Problem('SERVER_FAILED', `unknown replica identity ${JSON.stringify(replicaIdentity)} of a relation`);
  }
  const columns: RelationColumn[] = [];
  for (let left = reader.uint16(); left > 0; left--) {
    const key = (reader.uint8() & 1) !== 0;
    columns.push({ key, name: reader.text(), typeOid: reader.uint32(), typeModifier: reader.int32() });
  }
  return { oid, schema, name, replicaIdentity, columns };
}

/** The server writes `pg_catalog` as the empty string. */
function schemaName(name: string): string {
  return name === '' ? 'pg_catalog' : name;
}

function readOldTuple(reader: Reader, marker: string): OldTuple {
  if (marker !== 'K' && marker !== 'O') throw unexpectedMarker(marker);
  return { kind: marker === 'K' ? 'key' : 'full', tuple: readTuple(reader) };
}

function readTuple(reader: Reader): Tuple {
  const count = reader.uint16();
  const values = new Array<ColumnValue>(count);
  for (let i = 0; i < count; i++) {
    const kind = reader.char();
    if (kind === 't') values[i] = reader.string(reader.uint32());
    else if (kind === 'n') values[i] = null;
    else if (kind === 'u') values[i] = UNCHANGED;
    else throw new Problem('SERVER_FAILED', `a column value of kind ${JSON.stringify(kind)} was not asked for`);
  }
  return values;
}

function expectMarker(reader: Reader, expected: string): void {
  const marker = reader.char();
  if (marker !== expected) throw unexpectedMarker(marker);
}

function unexpectedMarker(marker: string): Problem {
  return new Problem('SERVER_FAILED', `unexpected tuple marker ${JSON.stringify(marker)} in a pgoutput message`);
}

/** Reads network byte order; throws RangeError past the end. xids and oids are unsigned. */
class Reader {
  private offset = 0;

  constructor(private readonly buffer: Buffer) {}

  get remaining(): number {
    return this.buffer.length - this.offset;
  }

  uint8(): number {
    return this.buffer.readUInt8(this.skip(1));
  }

  uint16(): number {
    return this.buffer.readUInt16BE(this.skip(2));
  }

  uint32(): number {
    return this.buffer.readUInt32BE(this.skip(4));
  }

  int32(): number {
    return this.buffer.readInt32BE(this.skip(4));
  }

  int64(): bigint {
    return this.buffer.readBigInt64BE(this.skip(8));
  }

  lsn(): Lsn {
    return toLsn(this.buffer.readBigUInt64BE(this.skip(8)));
  }

  char(): string {
    return String.fromCharCode(this.uint8());
  }

  string(length: number): string {
    const start = this.skip(length);
    return this.buffer.toString('utf8', start, start + length);
  }

  /** A zero-terminated string. */
  text(): string {
    const end = this.buffer.indexOf(0, this.offset);
    if (end < 0) throw new RangeError('unterminated string');
    const text = this.buffer.toString('utf8', this.offset, end);
    this.offset = end + 1;
    return text;
  }

  /** A copy, because the driver reuses the memory. */
  bytes(length: number): Buffer {
    const start = this.skip(length);
    return Buffer.from(this.buffer.subarray(start, start + length));
  }

  private skip(length: number): number {
    const start = this.offset;
    if (start + length > this.buffer.length) throw new RangeError('past the end of the message');
    this.offset = start + length;
    return start;
  }
}
