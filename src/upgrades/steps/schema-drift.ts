import { readSubscriptions } from '../../postgres/catalog/subscriptions.js';
import { publishedTablesSql } from '../../postgres/catalog/published-tables.sql.js';
import { CARRIED_TABLES } from '../../postgres/catalog/upgrade.sql.js';
import { refreshSubscription } from '../../postgres/ddl/subscription.ddl.js';
import {
  compareFingerprints,
  compareSchemas,
  readFingerprint,
  unfollowedChanges,
} from '../../postgres/schema/fingerprint.js';
import { Problem } from '../../problems/problem.js';
import type { TableName } from '../facts.js';
import type { StepContext } from '../workflow/step.js';
import { untilCopied } from './initial-copy.step.js';
import { publish } from './publication.step.js';

/** With the copies of new partitions: whoever approved waits for them, and is told soon why one fails. */
const PATIENCE = { stuckAfterMs: 600_000, mostFailures: 5 };
/** What decides which rows there are and how they are compared; triggers write rows while changes are applied. */
const OF_ROWS = /^\w+ (table|constraint|type|collation|extension|trigger) /;

/**
 * Looks whether the source's schema is still the one that was copied. A change that the target shows as well is taken
 * over: the schema as it is now is what the check inside the fence goes by. Any other refuses, with what to do; so does
 * a table that is not carried, whatever the target has, since its rows would be lost. Answers what was taken over.
 */
export async function followSchema(context: StepContext): Promise<string[]> {
  const { facts } = context;
  const [source, target] = [await context.act('source'), await context.act('target')];
  const now = await readFingerprint(source);
  const drift = compareFingerprints(facts.fingerprint!, now);
  if (drift.length === 0) return [];
  await context.progress('the source’s schema changed: looking whether the target followed');
  const tables = await carriedTables(context);
  const onTarget = await readFingerprint(target);
  const unfollowed = unfollowedChanges(
    { before: facts.fingerprint!, after: now },
    { before: facts.fingerprintOnTarget ?? null, after: onTarget },
  );
  const differences = (await compareSchemas(source, target)).filter(({ kind }) => kind !== 'added');
  if (unfollowed.length > 0 || differences.length > 0) throw notFollowed(unfollowed, differences);
  await context.record({ tables });
  await publish(context, 'source', context.names.publication);
  await subscribeToAll(context);
  if (drift.some((change) => OF_ROWS.test(change))) {
    // Verified were the tables as they were; the streams know only those, too. Forgotten first: a crash must not keep it.
    await context.forget('verdict');
    await context.closeReaders('forward');
  }
  await context.record({ fingerprint: now, fingerprintOnTarget: onTarget });
  await context.event('schema-changes-followed', { changes: drift.slice(0, 200) });
  return drift;
}

/** The tables to carry, less those that were dropped since. */
async function carriedTables(context: StepContext): Promise<TableName[]> {
  const rows = await (await context.act('source')).rows<TableName>(CARRIED_TABLES);
  const tables = rows.map(({ schema, name }) => ({ schema, name }));
  const known = new Set((context.facts.tables ?? []).map(qualified));
  const unknown = tables.map(qualified).filter((table) => !known.has(table));
  if (unknown.length === 0) return tables;
  throw new Problem(
    'CONFLICT',
    `the source has tables that are not carried, and their rows would be lost: ${unknown.slice(0, 10).join(', ')}`,
    {
      hint: 'A table made, renamed or detached after the upgrade began is not in its publication. Undo that on the source and try again, or abort and begin again, which carries it.',
      extra: { tables: unknown.slice(0, 200) },
    },
  );
}

/** Partitions are published with their root, but applied only once the subscription knows them. */
async function subscribeToAll(context: StepContext): Promise<void> {
  const { subscription, publication } = context.names;
  const [source, target] = [await context.act('source'), await context.act('target')];
  const published = await source.rows<TableName & Record<string, unknown>>(publishedTablesSql(source.versionNum), [
    [publication],
  ]);
  const subscribed = new Set(((await readSubscriptions(target, subscription))[0]?.tables ?? []).map(qualified));
  if (published.some((table) => !subscribed.has(qualified(table)))) {
    await context.progress('copying new partitions');
    await context.run('target', refreshSubscription(subscription, { copyData: true }));
  }
  await untilCopied(context, PATIENCE);
}

function notFollowed(unfollowed: string[], differences: { kind: string; object: string }[]): Problem {
  const changes = unfollowed.length > 0 ? unfollowed : differences.map(({ kind, object }) => `${kind} ${object}`);
  return new Problem(
    'CONFLICT',
    `the source's schema changed since it was copied, and the target's did not: ${changes.slice(0, 10).join('; ')}`,
    {
      hint: 'Make the same change on the target, or undo it on the source, and try again. Or abort.',
      extra: { changes: unfollowed.slice(0, 200), differences: differences.slice(0, 200) },
    },
  );
}

function qualified({ schema, name }: TableName): string {
  return `${schema}.${name}`;
}
