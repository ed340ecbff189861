import type { BoundPair } from '../../postgres/replication/bound-pair.js';
import * as sql from '../../postgres/catalog/published-tables.sql.js';
import { Differences, type Difference } from '../at-rest/difference.js';
import type { VerifiedTable } from '../at-rest/link-verification.js';
import { SubscriberForm } from '../at-rest/subscriber-form.js';
import type { TableShape } from '../at-rest/table-shape.js';
import { LIST_LIMIT } from '../at-rest/verify-link.js';
import type { LinkReaders } from '../link/link-readers.js';
import type { KeylessTable } from './touched-keys.js';

export interface ComparedDeltas {
  table: VerifiedTable;
  differences: Difference[];
}

/** Compares what came and went in a table without a key on the publisher with what was applied, up to the bound LSN. */
export async function compareDeltas(
  pair: BoundPair,
  readers: LinkReaders,
  touched: KeylessTable,
): Promise<ComparedDeltas> {
  const { shape, published, applied } = touched;
  const differences = new Differences(shape, pair.boundLsn, LIST_LIMIT);
  const obstacle = await deltaObstacle(pair, readers, touched);
  if (obstacle === null) {
    const ours = published.net(pair.boundLsn);
    const rows = ours.map(({ row }) => row);
    const form = await SubscriberForm.of(shape, pair.subscriber.session, rows);
    const surplus = new Map<string, number>();
    const add = (image: string, count: number) => surplus.set(image, (surplus.get(image) ?? 0) + count);
    for (const { row, count } of ours) add(JSON.stringify(form.apply(row)), count);
    for (const { row, count } of applied.net(pair.boundLsn)) add(JSON.stringify(row), -count);
    for (const [image, count] of surplus) {
      const row = JSON.parse(image) as (string | null)[];
      if (count > 0) differences.add('missing', null, row, null, count);
      if (count < 0) differences.add('extra', null, null, row, -count);
    }
  }
  const verdict = obstacle !== null ? 'pending' : differences.found ? 'different' : 'equal';
  const { schema, name } = shape;
  const verifiedLsn = obstacle === null ? pair.boundLsn : null;
  return {
    table: { schema, name, verdict, reason: obstacle, rows: null, verifiedLsn, differences: differences.counts },
    differences: differences.listed,
  };
}

/** Why the two streams do not tell the whole story of the table; null when they do. */
async function deltaObstacle(
  pair: BoundPair,
  readers: LinkReaders,
  { shape, published }: { shape: TableShape; published: KeylessTable['published'] },
): Promise<string | null> {
  if (!readers.readsSubscriber) {
    return `the table has no key, and the subscriber's stream is not read: ${readers.positionsReason ?? 'unknown'}`;
  }
  if (pair.inDoubt.length > 0) return 'the table has no key, and the last transactions are in doubt';
  const [identity] = await pair.subscriber.session.rows<{ usable: boolean }>(sql.replicaIdentityUsableSql(), [
    [shape.schema],
    [shape.name],
  ]);
  return published.anyGone && !identity?.usable
    ? 'the table has neither a key nor a replica identity on the subscriber'
    : null;
}
