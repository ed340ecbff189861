import { CARRIED_TABLES } from '../../postgres/catalog/upgrade.sql.js';
import { parseDump } from '../../postgres/schema/dump-statements.js';
import { dropCreated, removeJournal } from '../../postgres/schema/created-objects.js';
import { compareFingerprints, compareSchemas, readFingerprint } from '../../postgres/schema/fingerprint.js';
import { dumpSchema } from '../../postgres/schema/pg-dump.js';
import { restoreEntries } from '../../postgres/schema/restore.js';
import { splitPostData } from '../../postgres/schema/restore-plan.js';
import { refreshMaterializedViews } from '../../postgres/schema/refresh.js';
import { Problem } from '../../problems/problem.js';
import type { TableName } from '../facts.js';
import { STAYS } from '../workflow/left-behind.js';
import { followSchema } from './schema-drift.js';
import { replicaIdentityStep } from './tables.step.js';
import type { StepContext, UpgradeStep } from '../workflow/step.js';

/** Definitions, then primary keys and replica identities: without them the first UPDATE would stop the subscription. */
export const schemaPreDataStep: UpgradeStep = {
  name: 'schema-pre-data',
  phase: 'prepare',

  async run(context) {
    const source = await context.act('source');
    // Read anew: a table that came since must be published too, or its rows would be left behind without a word.
    await replicaIdentityStep.run(context);
    const before = await readFingerprint(source);
    const pre = parseDump(await dump(context, 'pre-data'));
    const post = parseDump(await dump(context, 'post-data'));
    const drift = compareFingerprints(before, await readFingerprint(source));
    if (drift.length > 0) {
      throw new Problem('CONFLICT', `the schema changed while it was dumped: ${drift.slice(0, 5).join('; ')}`, {
        hint: 'Let the migration finish, then retry.',
        retryable: true,
      });
    }
    const carried = (await source.rows<TableName>(CARRIED_TABLES)).map(({ schema, name }) => ({ schema, name }));
    if (JSON.stringify(carried) !== JSON.stringify(context.facts.tables)) {
      throw new Problem('CONFLICT', 'tables were created or dropped while the schema was dumped', {
        hint: 'Let the migration finish, then retry.',
        retryable: true,
      });
    }
    await context.record({ fingerprint: before });
    const definitions = await restore(context, pre, 'pre-data');
    const keys = await restore(context, splitPostData(post).earlyPostData, 'early-post-data');
    await context.record({ fingerprintOnTarget: await readFingerprint(await context.act('target')) });
    return { definitions: definitions.total, keys: keys.total };
  },

  async undo(context) {
    if (context.isLeft('source')) return STAYS;
    const report = await dropCreated(await context.act('target'));
    if (report.left.length > 0) {
      await context.event('left-behind', { side: 'target', objects: report.left.slice(0, 100) });
      await context.record({ leftovers: report.left.map(({ object }) => object) });
    } else {
      await removeJournal(await context.act('target'));
    }
    return { dropped: report.dropped, left: report.left.slice(0, 100) };
  },
};

/** Everything that would slow the copy or stop it: other indexes, constraints, foreign keys, triggers, policies. */
export const schemaPostDataStep: UpgradeStep = {
  name: 'schema-post-data',
  phase: 'catch-up',

  async run(context) {
    const post = parseDump(await dump(context, 'post-data'));
    const result = await restore(context, splitPostData(post).latePostData, 'late-post-data');
    const [source, target] = [await context.act('source'), await context.act('target')];
    await context.progress('refreshing materialized views');
    const views = await refreshMaterializedViews(source, target);
    const differences = await compareSchemas(source, target);
    const missing = differences.filter(({ kind }) => kind !== 'added');
    if (missing.length > 0) {
      throw new Problem(
        'CONFLICT',
        `the target's schema is not complete: ${missing.slice(0, 5).map(name).join('; ')}`,
        {
          hint: 'If the source was migrated since it was dumped, make the same change on the target or undo it on the source, then retry. A table made since cannot be carried: its rows would be lost.',
          extra: { differences: differences.slice(0, 200) },
        },
      );
    }
    const followed = await followSchema(context);
    // From here what was restored just now is no change any more.
    if (followed.length === 0) await context.record({ fingerprintOnTarget: await readFingerprint(target) });
    return { objects: result.total, materializedViews: views, added: differences.map(name).slice(0, 50) };
  },
};

async function dump(context: StepContext, section: 'pre-data' | 'post-data'): Promise<string> {
  await context.progress(`dumping the schema (${section})`);
  return await dumpSchema(await context.connection('source'), { section, signal: context.signal });
}

async function restore(context: StepContext, items: Parameters<typeof restoreEntries>[1], section: string) {
  return await restoreEntries(await context.act('target'), items, {
    section,
    signal: context.signal,
    onProgress: ({ done, total, entry }) => {
      // Progress is told on the side: a slow state database must not slow the restore.
      if (done % 50 === 0) void context.progress(`${section}: ${entry}`, (100 * done) / total).catch(() => {});
    },
  });
}

function name({ kind, object }: { kind: string; object: string }): string {
  return `${kind} ${object}`;
}
