import type { Lsn } from '../../shared/lsn.js';
import type { Relation, Tuple } from './streamed-transaction.js';

/** `xid` of messages inside a streamed (in-progress) block is the transaction or subtransaction that made the change. */
interface InStream {
  /** Null outside a block between Stream Start and Stream Stop. */
  streamXid: number | null;
}

export interface OldTuple {
  kind: 'key' | 'full';
  tuple: Tuple;
}

interface PreparedTransaction {
  xid: number;
  gid: string;
  endLsn: Lsn;
}

/**
 * Every message pgoutput sends with protocol versions 1 to 4 ("Logical Replication Message Formats" in the
 * PostgreSQL documentation). Times are microseconds since 2000-01-01 UTC.
 */
export type PgoutputMessage =
  | { tag: 'begin'; finalLsn: Lsn; commitTimeMicros: bigint; xid: number }
  | { tag: 'commit'; commitLsn: Lsn; endLsn: Lsn; commitTimeMicros: bigint }
  | { tag: 'origin'; lsn: Lsn; name: string }
  | ({ tag: 'relation'; relation: Relation } & InStream)
  | ({ tag: 'type'; oid: number; schema: string; name: string } & InStream)
  | ({ tag: 'insert'; relationOid: number; new: Tuple } & InStream)
  | ({ tag: 'update'; relationOid: number; old: OldTuple | null; new: Tuple } & InStream)
  | ({ tag: 'delete'; relationOid: number; old: OldTuple } & InStream)
  | ({ tag: 'truncate'; relationOids: number[]; cascade: boolean; restartIdentity: boolean } & InStream)
  | ({ tag: 'message'; transactional: boolean; lsn: Lsn; prefix: string; content: Buffer } & InStream)
  | { tag: 'stream-start'; xid: number; firstSegment: boolean }
  | { tag: 'stream-stop' }
  | { tag: 'stream-commit'; xid: number; commitLsn: Lsn; endLsn: Lsn; commitTimeMicros: bigint }
  | { tag: 'stream-abort'; xid: number; subxid: number; abort: { lsn: Lsn; timeMicros: bigint } | null }
  | ({ tag: 'begin-prepare'; prepareLsn: Lsn; prepareTimeMicros: bigint } & PreparedTransaction)
  | ({ tag: 'prepare'; prepareLsn: Lsn; prepareTimeMicros: bigint } & PreparedTransaction)
  | ({ tag: 'commit-prepared'; commitLsn: Lsn; commitTimeMicros: bigint } & PreparedTransaction)
  | ({
      tag: 'rollback-prepared';
      prepareEndLsn: Lsn;
      prepareTimeMicros: bigint;
      rollbackTimeMicros: bigint;
    } & PreparedTransaction)
  | ({ tag: 'stream-prepare'; prepareLsn: Lsn; prepareTimeMicros: bigint } & PreparedTransaction);
