import { parseDump } from '../../postgres/schema/dump-statements.js';
import { dropCreated, removeJournal } from '../../postgres/schema/created-objects.js';
import { compareFingerprints, compareSchemas, readFingerprint } from '../../postgres/schema/fingerprint.js';
import { dumpSchema } from '../../postgres/schema/pg-dump.js';
import { restoreEntries } from '../../postgres/schema/restore.js';
import { splitPostData } from '../../postgres/schema/restore-plan.js';
import { identifier } from '../../postgres/quoting.js';
import { Problem } from '../../problems/problem.js';
import type { StepContext, UpgradeStep } from '../workflow/step.js';

/** Building an index may take this long; the lock wait of each statement is bounded by the restore itself. */
const LONG_STATEMENT = '12h';

const MATERIALIZED_VIEWS = `
  select n.nspname::text as schema, c.relname::text as name
    from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
   where c.relkind = 'm' and n.nspname not in ('information_schema', 'lockstep') and n.nspname !~ '^pg_'
   order by c.oid`;

/** Definitions, then primary keys and replica identities: without them the first UPDATE would stop the subscription. */
export const schemaPreDataStep: UpgradeStep = {
  name: 'schema-pre-data',
  phase: 'prepare',

  async run(context) {
    const source = await context.act('source');
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
    await context.record({ fingerprint: before });
    const definitions = await restore(context, pre, 'pre-data');
    const keys = await restore(context, splitPostData(post).earlyPostData, 'early-post-data');
    return { definitions: definitions.total, keys: keys.total };
  },

  async undo(context) {
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
    const views = await refreshMaterializedViews(context);
    const [source, target] = [await context.act('source'), await context.act('target')];
    const differences = await compareSchemas(source, target);
    const missing = differences.filter(({ kind }) => kind !== 'added');
    if (missing.length > 0) {
      throw new Problem(
        'CONFLICT',
        `the target's schema is not complete: ${missing.slice(0, 5).map(name).join('; ')}`,
        {
          hint: 'If the source was migrated since it was dumped, make the same change on the target, then retry.',
          extra: { differences: differences.slice(0, 200) },
        },
      );
    }
    return { objects: result.total, materializedViews: views, added: differences.map(name).slice(0, 50) };
  },
};

export async function refreshMaterializedViews(context: StepContext): Promise<number> {
  const target = await context.act('target');
  const views = await target.rows<{ schema: string; name: string }>(MATERIALIZED_VIEWS);
  await target.execute(`set statement_timeout = '${LONG_STATEMENT}'`);
  try {
    for (const view of views) {
      await context.progress(`refreshing ${view.schema}.${view.name}`);
      await target.execute(`refresh materialized view ${identifier(view.schema, view.name)}`);
    }
  } finally {
    if (target.alive) await target.execute('reset statement_timeout');
  }
  return views.length;
}

async function dump(context: StepContext, section: 'pre-data' | 'post-data'): Promise<string> {
  await context.progress(`dumping the schema (${section})`);
  return await dumpSchema(await context.connection('source'), { section, signal: context.signal });
}

async function restore(context: StepContext, items: Parameters<typeof restoreEntries>[1], section: string) {
  const target = await context.act('target');
  await target.execute(`set statement_timeout = '${LONG_STATEMENT}'`);
  try {
    return await restoreEntries(target, items, {
      section,
      signal: context.signal,
      onProgress: ({ done, total, entry }) => {
        // Progress is told on the side: a slow state database must not slow the restore.
        if (done % 50 === 0) void context.progress(`${section}: ${entry}`, (100 * done) / total).catch(() => {});
      },
    });
  } finally {
    if (target.alive) await target.execute('reset statement_timeout');
  }
}

function name({ kind, object }: { kind: string; object: string }): string {
  return `${kind} ${object}`;
}
