import { identifier } from '../quoting.js';
import type { Session } from '../session.js';
import { readSequenceValues, type SequenceValue } from './sequence-values.js';
import { sqlstateOf } from '../translate-error.js';
import { SEQUENCES, SEQUENCES_THERE } from './sequences-list.sql.js';
import type { TableName } from './tables.js';
import { variantFor } from './variant.js';

const UNDEFINED_TABLE = '42P01';

/** A sequence and where it stands. Values are text: they may pass what a JSON number holds exactly. */
export interface Sequence extends TableName, SequenceValue {
  dataType: string;
  persistence: 'permanent' | 'unlogged';
  start: string;
  increment: string;
  minimum: string;
  maximum: string;
  cycles: boolean;
  cacheSize: string;
  /** Why `lastValue` and `isCalled` are null; null when they are known. */
  reason: string | null;
  /** Whether the login may set it. */
  settable: boolean;
  /** What lets it; null where it may. */
  settableBy: string | null;
  ownedBy: (TableName & { column: string; columnType: string; identity: boolean }) | null;
}

interface SequenceRow {
  oid: string;
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
  obstacle: 'privilege' | 'standby' | 'locked' | null;
  settable: boolean;
  in_reach: boolean;
  login: string;
  owner_schema: string | null;
  owner_table: string | null;
  owner_column: string | null;
  owner_column_type: string | null;
  identity: boolean | null;
}

export interface SequencePage {
  after?: TableName | undefined;
  limit?: number | undefined;
}

/**
 * Sequences of the session's database by schema and name, without PostgreSQL's and Lockstep's own. Fewer than `limit`
 * are all that there are.
 */
export async function readSequences(session: Session, { after, limit }: SequencePage = {}): Promise<Sequence[]> {
  const found: Sequence[] = [];
  for (let from = after; ;) {
    const missing = limit === undefined ? null : limit - found.length;
    const { rows, sequences } = await read(session, [from?.schema ?? null, from?.name ?? null, missing, null, null]);
    found.push(...sequences);
    // Those that were dropped meanwhile leave room for others.
    if (missing === null || rows.length < missing || sequences.length === missing) return found;
    from = rows.at(-1);
  }
}

export async function readSequence(session: Session, { schema, name }: TableName): Promise<Sequence | null> {
  return (await read(session, [null, null, null, schema, name])).sequences[0] ?? null;
}

/** The rows that were listed, and what of them was still there when its value was read. */
async function read(session: Session, parameters: unknown[]): Promise<{ rows: SequenceRow[]; sequences: Sequence[] }> {
  const rows = await session.rows<SequenceRow>(variantFor(SEQUENCES, session.versionNum), parameters);
  const readable = rows.filter(({ obstacle }) => obstacle === null).map(({ oid }) => oid);
  const values = await valuesOf(session, readable);
  const gone = await goneOf(
    session,
    readable.filter((oid) => (values.get(oid)?.lastValue ?? null) === null),
  );
  const there = rows.filter(({ oid }) => !gone.has(oid));
  return { rows, sequences: there.map((row) => decodeSequence(row, values.get(row.oid))) };
}

/** Up to 17 one that is dropped between its name being looked up and its row being read fails them all. */
async function valuesOf(session: Session, oids: string[]): Promise<Map<string, SequenceValue>> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readSequenceValues(session, oids);
    } catch (error) {
      if (attempt === 5 || sqlstateOf(error) !== UNDEFINED_TABLE) throw error;
    }
  }
}

/** Those of the oids that were dropped since. */
async function goneOf(session: Session, oids: string[]): Promise<Set<string>> {
  if (oids.length === 0) return new Set();
  const there = await session.rows<{ oid: string }>(SEQUENCES_THERE, [oids]);
  const found = new Set(there.map(({ oid }) => oid));
  return new Set(oids.filter((oid) => !found.has(oid)));
}

function obstacleOf(row: SequenceRow): string {
  switch (row.obstacle) {
    case 'privilege':
      return `the login may not read the sequence: ${grantOn(row, 'select')}`;
    case 'standby':
      return 'unlogged sequences cannot be read on a standby';
    case 'locked':
      return 'somebody locks the sequence';
    case null:
      return 'the server did not tell it';
  }
}

function grantOn({ schema, name, login, in_reach: inReach }: SequenceRow, privilege: 'select' | 'update'): string {
  const to = `to ${identifier(login)};`;
  const reach = inReach ? '' : `grant usage on schema ${identifier(schema)} ${to} `;
  return `${reach}grant ${privilege} on sequence ${identifier(schema, name)} ${to}`;
}

function decodeSequence(row: SequenceRow, value: SequenceValue | undefined): Sequence {
  const { lastValue, isCalled } = value ?? { lastValue: null, isCalled: null };
  const known = lastValue !== null && isCalled !== null;
  return {
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
    lastValue: known ? lastValue : null,
    isCalled: known ? isCalled : null,
    reason: known ? null : obstacleOf(row),
    settable: row.settable,
    settableBy: row.settable ? null : grantOn(row, 'update'),
    ownedBy:
      row.owner_table === null
        ? null
        : {
            schema: row.owner_schema!,
            name: row.owner_table,
            column: row.owner_column!,
            columnType: row.owner_column_type!,
            identity: row.identity ?? false,
          },
  };
}
