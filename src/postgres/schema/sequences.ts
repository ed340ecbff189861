import { readSequenceValues, sequenceChunks } from '../catalog/sequence-values.js';
import { listSequences, setSequences } from '../catalog/sequences.sql.js';
import type { Session } from '../session.js';

/** One sequence and where it stands. */
export interface SequenceState {
  schema: string;
  name: string;
  /** `smallint`, `integer` or `bigint`. */
  dataType: string;
  unlogged: boolean;
  /** Decimal text; null when the login may not read the sequence: unknown, never unused. */
  lastValue: string | null;
  /** Whether lastValue was handed out; null when unknown. */
  isCalled: boolean | null;
}

export interface SequenceDifference {
  schema: string;
  name: string;
  kind: 'missing' | 'different' | 'unknown';
  expected: string | null;
  actual: string | null;
}

/** Every sequence of the database with its exact position. 10,000 take some 0.2 s. */
export async function readSequences(session: Session): Promise<SequenceState[]> {
  const listed = await session.rows<{
    oid: string;
    schema: string;
    name: string;
    data_type: string;
    unlogged: boolean;
    readable: boolean;
  }>(listSequences);
  const readable = listed.filter((sequence) => sequence.readable).map(({ oid }) => oid);
  const values = await readSequenceValues(session, readable);
  return listed.map(({ oid, schema, name, data_type, unlogged }) => ({
    schema,
    name,
    dataType: data_type,
    unlogged,
    lastValue: values.get(oid)?.lastValue ?? null,
    isCalled: values.get(oid)?.isCalled ?? null,
  }));
}

/**
 * Sets sequences on another database to the states given and returns how many were set. Unknown states are left out;
 * `already` (what the database is known to hold) leaves out those that stand right.
 */
export async function applySequences(
  session: Session,
  states: SequenceState[],
  already: SequenceState[] = [],
): Promise<number> {
  const held = new Map(already.map((state) => [key(state), position(state)]));
  const wanted = states.filter((state) => state.lastValue !== null && held.get(key(state)) !== position(state));
  for (const chunk of sequenceChunks(wanted)) {
    await session.rows(setSequences, [
      chunk.map(({ schema }) => schema),
      chunk.map(({ name }) => name),
      chunk.map(({ lastValue }) => lastValue),
      chunk.map(({ isCalled }) => isCalled),
    ]);
  }
  return wanted.length;
}

/**
 * Exact comparison of positions; a sequence unknown on either side is a difference. Empty means equal. One that `actual`
 * alone has is none: nothing is to be carried to it.
 */
export function compareSequences(expected: SequenceState[], actual: SequenceState[]): SequenceDifference[] {
  const found = new Map(actual.map((state) => [key(state), state]));
  const differences: SequenceDifference[] = [];
  for (const state of expected) {
    const other = found.get(key(state));
    const [wanted, held] = [position(state), other === undefined ? null : position(other)];
    const kind = other === undefined ? 'missing' : wanted === null || held === null ? 'unknown' : 'different';
    if (kind !== 'different' || wanted !== held) {
      differences.push({ schema: state.schema, name: state.name, kind, expected: wanted, actual: held });
    }
  }
  return differences;
}

export interface SequenceTransfer {
  /** Where the source stood. */
  states: SequenceState[];
  /** How many were set on the target. */
  applied: number;
  /** What is not equal after reading the target again; empty when the transfer is complete. */
  differences: SequenceDifference[];
  /** Only on the other side, and left alone, e.g. of a table made there ahead. */
  extra: { schema: string; name: string }[];
}

/**
 * Carries all sequence positions from one database to another, in either direction, sets only those that differ, then
 * reads the other side again and compares.
 */
export async function transferSequences(from: Session, to: Session): Promise<SequenceTransfer> {
  const [states, held] = await Promise.all([readSequences(from), readSequences(to)]);
  const present = new Set(held.map(key));
  const applied = await applySequences(
    to,
    states.filter((state) => present.has(key(state))),
    held,
  );
  const after = applied === 0 ? held : await readSequences(to);
  const expected = new Set(states.map(key));
  const extra = held.filter((state) => !expected.has(key(state))).map(({ schema, name }) => ({ schema, name }));
  return { states, applied, differences: compareSequences(states, after), extra };
}

function key({ schema, name }: { schema: string; name: string }): string {
  return JSON.stringify([schema, name]);
}

function position({ lastValue, isCalled }: { lastValue: string | null; isCalled: boolean | null }): string | null {
  return lastValue === null || isCalled === null ? null : `${lastValue} ${isCalled ? 'called' : 'not called'}`;
}
