import type { BoundPair } from '../../postgres/replication/bound-pair.js';
import * as sql from '../../postgres/catalog/published-tables.sql.js';
import type { Lsn } from '../../shared/lsn.js';
import { Differences } from '../at-rest/difference.js';
import { overallVerdict, type LinkVerification, type VerifiedTable } from '../at-rest/link-verification.js';
import { SubscriberForm } from '../at-rest/subscriber-form.js';
import type { TableShape } from '../at-rest/table-shape.js';
import { verifyLink } from '../at-rest/verify-link.js';
import type { LinkReaders } from '../link/link-readers.js';
import type { RowDeltas } from './row-deltas.js';
import type { TouchedKeys } from './touched-keys.js';

export interface CompareTouchedRequest {
  readers: LinkReaders;
  touched: TouchedKeys;
  /** For each bind, in milliseconds. */
  bindDeadlineMs: number;
  signal?: AbortSignal;
}

export interface TouchedVerification extends LinkVerification {
  /** How many keys were compared. */
  keys: number;
}

/**
 * Compares exactly the rows touched since the last verified LSN, never a whole table. Together with that verification
 * an `equal` proves the link equal at `verifiedLsn`. Where what was touched is not known completely the verdict is
 * `pending`, with the reason: verify again first. Tables without a key are judged by what both ends' streams say came
 * and went; without a stream of the subscriber they are `pending`.
 */
export async function compareTouched(request: CompareTouchedRequest): Promise<TouchedVerification> {
  const { readers, touched, bindDeadlineMs, signal } = request;
  const options = { deadlineMs: bindDeadlineMs, ...(signal ? { signal } : {}) };
  const pair = await readers.bind([], options);
  const keyless: Compared[] = [];
  try {
    for (const table of touched.keyless()) keyless.push(await compareDeltas(pair, readers, table));
  } finally {
    await pair.release();
  }
  // Read after the bind: every transaction up to its LSN has been recorded by now.
  const keys = touched.keys();
  const tables = touched.shapesOf(keys);
  const byKey =
    tables.length > 0
      ? await verifyLink({ readers, tables, keys, bindDeadlineMs, ...(signal ? { signal } : {}) })
      : null;
  return conclude(
    pair,
    keyless,
    byKey,
    touched.overflow,
    [...keys.values()].reduce((sum, list) => sum + list.length, 0),
  );
}

interface Compared {
  table: VerifiedTable;
  differences: Differences | null;
}

async function compareDeltas(
  pair: BoundPair,
  readers: LinkReaders,
  { shape, published, applied }: { shape: TableShape; published: RowDeltas; applied: RowDeltas },
): Promise<Compared> {
  const obstacle = await deltaObstacle(pair, readers, shape, published);
  if (obstacle !== null) return { table: verified(shape, 'pending', obstacle, null, null), differences: null };
  const theirs = new Map(applied.net(pair.boundLsn).map(({ row, count }) => [JSON.stringify(row), count]));
  const ours = published.net(pair.boundLsn);
  const form = await SubscriberForm.of(
    shape,
    pair.subscriber.session,
    ours.map(({ row }) => row),
  );
  const surplus = new Map<string, number>();
  for (const { row, count } of ours) {
    const image = JSON.stringify(form.apply(row));
    surplus.set(image, (surplus.get(image) ?? 0) + count);
  }
  for (const [image, count] of theirs) surplus.set(image, (surplus.get(image) ?? 0) - count);
  const differences = new Differences(shape, pair.boundLsn, 1000);
  for (const [image, count] of surplus) {
    const row = JSON.parse(image) as (string | null)[];
    if (count > 0) differences.add('missing', null, row, null, count);
    if (count < 0) differences.add('extra', null, null, row, -count);
  }
  const verdict = differences.found ? 'different' : 'equal';
  return { table: verified(shape, verdict, null, pair.boundLsn, differences), differences };
}

/** Why the two streams do not tell the same story of the table; null when they do. */
async function deltaObstacle(
  pair: BoundPair,
  readers: LinkReaders,
  shape: TableShape,
  published: RowDeltas,
): Promise<string | null> {
  if (!readers.readsSubscriber)
    return `the table has no key, and ${readers.positionsReason ?? 'no stream of the subscriber is read'}`;
  if (pair.inDoubt.length > 0) return 'the table has no key, and the last transactions are in doubt';
  const [identity] = await pair.subscriber.session.rows<{ usable: boolean }>(sql.replicaIdentityUsableSql(), [
    [shape.schema],
    [shape.name],
  ]);
  if (published.anyGone && !identity?.usable)
    return 'the table has neither a key nor a replica identity on the subscriber';
  return null;
}

function verified(
  { schema, name }: TableShape,
  verdict: VerifiedTable['verdict'],
  reason: string | null,
  verifiedLsn: Lsn | null,
  differences: Differences | null,
): VerifiedTable {
  const counts = differences?.counts ?? { missing: 0, extra: 0, different: 0 };
  return { schema, name, verdict, reason, rows: null, verifiedLsn, differences: counts };
}

function conclude(
  pair: BoundPair,
  keyless: readonly Compared[],
  byKey: LinkVerification | null,
  overflow: string | null,
  keys: number,
): TouchedVerification {
  const tables = [...keyless.map(({ table }) => table), ...(byKey?.tables ?? [])];
  const differences = [
    ...keyless.flatMap((compared) => compared.differences?.listed ?? []),
    ...(byKey?.differences ?? []),
  ];
  // Nothing touched: what was verified still holds, at the newly bound LSN.
  const found = tables.length === 0 ? 'equal' : overallVerdict(tables);
  const verdict = found === 'equal' && overflow !== null ? 'pending' : found;
  const lsns = [pair.boundLsn, ...tables.map(({ verifiedLsn }) => verifiedLsn)];
  const complete = verdict === 'equal' || verdict === 'different';
  return {
    verdict,
    reason:
      verdict === 'pending' && overflow !== null
        ? overflow
        : (tables.find((table) => table.verdict === verdict)?.reason ?? null),
    verifiedLsn: complete
      ? lsns.reduce((lowest, lsn) => (lowest === null || lsn === null ? null : lsn < lowest ? lsn : lowest))
      : null,
    method: pair.method,
    methodReason: byKey?.methodReason ?? null,
    tables,
    differences,
    keys,
  };
}
