import type { Sequence } from '../postgres/catalog/sequences-list.js';
import type { TableName } from '../postgres/catalog/tables.js';
import { nextValue } from './sequence-headroom.js';

/**
 * The subscriber's sequence against the publisher's. `behind`: it would hand out values that the publisher handed out;
 * `ahead`: it stands further. `missing`: on the publisher only; `extra`: on the subscriber only. `incomparable`: they
 * count in opposite directions. `unknown`: one of them cannot be read.
 */
export const VERDICTS = ['equal', 'behind', 'ahead', 'missing', 'extra', 'incomparable', 'unknown'] as const;
export type SequenceVerdict = (typeof VERDICTS)[number];

export interface Position {
  lastValue: string;
  /** False: `lastValue` was not handed out yet. */
  isCalled: boolean;
}

export interface ComparedSequence extends TableName {
  verdict: SequenceVerdict;
  /** Null: not there, or not known; `verdict` tells which. */
  publisher: Position | null;
  subscriber: Position | null;
  /** Why it is unknown, or why the subscriber's cannot be set to where the publisher's stands. */
  reason: string | null;
}

/** By schema and name. */
export function compareBothEnds(publisher: readonly Sequence[], subscriber: readonly Sequence[]): ComparedSequence[] {
  const there = new Map(subscriber.map((sequence) => [keyOf(sequence), sequence]));
  const compared = publisher.map((sequence) => {
    const other = there.get(keyOf(sequence));
    there.delete(keyOf(sequence));
    return other === undefined ? alone(sequence, 'missing') : compare(sequence, other);
  });
  return [...compared, ...[...there.values()].map((sequence) => alone(sequence, 'extra'))].sort(byName);
}

/** Whether a sync sets it: what is behind, and with `force` also what is ahead. */
export function toBeSet({ verdict, reason }: ComparedSequence, force: boolean): boolean {
  return reason === null && (verdict === 'behind' || (force && verdict === 'ahead'));
}

export function keyOf({ schema, name }: TableName): string {
  return JSON.stringify([schema, name]);
}

function compare(publisher: Sequence, subscriber: Sequence): ComparedSequence {
  const { schema, name } = publisher;
  const [there, here] = [positionOf(publisher), positionOf(subscriber)];
  const both = { schema, name, publisher: there, subscriber: here };
  if (there === null) return { ...both, verdict: 'unknown', reason: `on the publisher: ${publisher.reason}` };
  if (here === null) return { ...both, verdict: 'unknown', reason: `on the subscriber: ${subscriber.reason}` };
  const up = BigInt(publisher.increment) > 0n;
  if (up !== BigInt(subscriber.increment) > 0n) {
    return { ...both, verdict: 'incomparable', reason: 'they count in opposite directions' };
  }
  const next = nextValue(there.lastValue, publisher);
  const held = nextValue(here.lastValue, subscriber);
  const same = there.lastValue === here.lastValue && there.isCalled === here.isCalled;
  if (same || next === held) return { ...both, verdict: 'equal', reason: null };
  const behind = up ? held < next : held > next;
  return { ...both, verdict: behind ? 'behind' : 'ahead', reason: obstacle(there, subscriber) };
}

/** Why the subscriber's sequence cannot be set to the position; null when it can. */
function obstacle({ lastValue }: Position, { minimum, maximum, settable, settableBy }: Sequence): string | null {
  if (!settable) return `the login lacks UPDATE on the sequence of the subscriber: ${settableBy}`;
  const value = BigInt(lastValue);
  if (value >= BigInt(minimum) && value <= BigInt(maximum)) return null;
  return `${lastValue} is outside the limits of the subscriber's sequence, ${minimum} to ${maximum}`;
}

function alone(sequence: Sequence, verdict: 'missing' | 'extra'): ComparedSequence {
  const { schema, name, reason } = sequence;
  const position = positionOf(sequence);
  const ends =
    verdict === 'missing' ? { publisher: position, subscriber: null } : { publisher: null, subscriber: position };
  return { schema, name, verdict, ...ends, reason };
}

function positionOf({ lastValue, isCalled }: Sequence): Position | null {
  return lastValue === null || isCalled === null ? null : { lastValue, isCalled };
}

/** The order of names in PostgreSQL's catalogs. */
function byName(one: TableName, other: TableName): number {
  const bySchema = Buffer.compare(Buffer.from(one.schema), Buffer.from(other.schema));
  return bySchema === 0 ? Buffer.compare(Buffer.from(one.name), Buffer.from(other.name)) : bySchema;
}
