import { PG18 } from '../../shared/server-version.js';
import type { Session } from '../session.js';
import { collectSequenceValues, readSequenceValues as readValues } from './sequences.sql.js';

/**
 * Sequences per statement. Each one read or set stays locked until its statement ends, and the server's lock table has
 * room for some 6,000 at default settings.
 */
const PER_STATEMENT = 2000;

/** Where a sequence stands, as its own row says. */
export interface SequenceValue {
  /** Decimal text. */
  lastValue: string | null;
  /** False: `lastValue` was not handed out yet. */
  isCalled: boolean | null;
}

/** By oid, exact on every version. The login must be able to read them all. */
export async function readSequenceValues(session: Session, oids: string[]): Promise<Map<string, SequenceValue>> {
  const values = new Map<string, SequenceValue>();
  for (const chunk of sequenceChunks(oids)) {
    for (const row of await readChunk(session, chunk)) {
      values.set(row.oid, { lastValue: row.last_value, isCalled: row.is_called });
    }
  }
  return values;
}

type ValueRow = { oid: string; last_value: string | null; is_called: boolean | null };

async function readChunk(session: Session, oids: string[]): Promise<ValueRow[]> {
  const sql = readValues(session.versionNum);
  if (session.versionNum >= PG18) return session.rows<ValueRow>(sql, [oids]);
  await session.execute(collectSequenceValues(oids));
  return session.rows<ValueRow>(sql);
}

/** As many at once as one statement may read or set. */
export function* sequenceChunks<T>(items: T[]): Generator<T[]> {
  for (let at = 0; at < items.length; at += PER_STATEMENT) yield items.slice(at, at + PER_STATEMENT);
}
