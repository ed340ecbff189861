import { readSubscription } from '../../../src/verification/at-rest/read-shapes.js';
import type { LinkVerification } from '../../../src/verification/at-rest/link-verification.js';
import type { TableName } from '../../../src/verification/at-rest/table-shape.js';
import type { RepairedItem, RepairItem } from '../../../src/verification/repair/repair-item.js';
import { readRepairFacts, type TriggerMode } from '../../../src/verification/repair/repair-facts.js';
import { repairLink } from '../../../src/verification/repair/repair-link.js';
import { withSession } from '../../../src/postgres/session.js';
import type { LinkFixture } from './link-fixture.js';

/** Repairs what a verification found, as the service does, and answers what came of each difference. */
export async function repair(
  link: LinkFixture,
  { differences }: Pick<LinkVerification, 'differences'>,
  triggers: TriggerMode = 'quiet',
  origin: string | null = null,
): Promise<RepairedItem[]> {
  const tables = [
    ...new Map(differences.map(({ schema, table }) => [`${schema}.${table}`, { schema, name: table }])).values(),
  ];
  const { publisher, subscriber } = link.readers.ends;
  const facts = await withSession(publisher, {}, (ours) =>
    withSession(subscriber, {}, async (theirs) => {
      await readSubscription(theirs, link.subscription);
      return readRepairFacts(ours, theirs, link.subscription, tables, triggers);
    }),
  );
  const done = new Map<number, RepairedItem>();
  const itemsOf = (wanted: TableName): Promise<RepairItem[]> =>
    Promise.resolve(
      differences.flatMap(({ schema, table, kind, key }, position) =>
        schema === wanted.schema && table === wanted.name && !done.has(position)
          ? [{ position, kind, key, intended: false }]
          : [],
      ),
    );
  await repairLink({
    readers: link.readers,
    facts,
    purpose: `repair ${link.database}`,
    origin,
    itemsOf,
    onIntended: () => Promise.resolve(),
    onDone: (items) => {
      for (const item of items) done.set(item.position, item);
      return Promise.resolve();
    },
    signal: new AbortController().signal,
  });
  return [...done.values()].sort((a, b) => a.position - b.position);
}
