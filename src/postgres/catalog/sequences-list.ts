import type { Session } from '../session.js';
import { SEQUENCES } from './sequences-list.sql.js';
import type { TableName } from './tables.js';
import { variantFor } from './variant.js';

/** A sequence and where it stands. Values are text: they may pass what a JSON number holds exactly. */
export interface Sequence extends TableName {
  dataType: string;
  persistence: 'permanent' | 'unlogged';
  start: string;
  increment: string;
  minimum: string;
  maximum: string;
  cycles: boolean;
  cacheSize: string;
  /** Null when not known; `reason` says why. */
  lastValue: string | null;
  /** False: `lastValue` has not been handed out yet. Null when not known. */
  isCalled: boolean | null;
  reason: string | null;
  ownedBy: (TableName & { column: string; identity: boolean }) | null;
}

interface SequenceRow {
  schema: string;
  name: string;
  data_type: string;
  persistence: string;
  start_value: string;
  increment: string;
  minimum: string;
  maximum: string;
  cycles: boolean;
  cache_size: string;
  readable: boolean;
  last_value: string | null;
  is_called: boolean | null;
  owner_schema: string | null;
  owner_table: string | null;
  owner_column: string | null;
  identity: boolean | null;
}

export interface SequencePage {
  after?: TableName | undefined;
  limit?: number | undefined;
}

export async function readSequences(session: Session, page: SequencePage = {}): Promise<Sequence[]> {
  const parameters = [page.after?.schema ?? null, page.after?.name ?? null, page.limit ?? null];
  const rows = await session.rows<SequenceRow>(variantFor(SEQUENCES, session.versionNum), parameters);
  return rows.map((row) => ({
    schema: row.schema,
    name: row.name,
    dataType: row.data_type,
    persistence: row.persistence === 'u' ? 'unlogged' : 'permanent',
    start: row.start_value,
    increment: row.increment,
    minimum: row.minimum,
    maximum: row.maximum,
    cycles: row.cycles,
    cacheSize: row.cache_size,
    lastValue: row.last_value,
    isCalled: row.is_called,
    reason: unknownReason(row),
    ownedBy:
      row.owner_table === null
        ? null
        : {
            schema: row.owner_schema!,
            name: row.owner_table,
            column: row.owner_column!,
            identity: row.identity ?? false,
          },
  }));
}

function unknownReason(row: SequenceRow): string | null {
  if (!row.readable) return 'the login lacks SELECT on the sequence';
  if (row.last_value === null) return 'not used since it was created or set; before 18 the server lists no value then';
  return null;
}
