import {
  CARRIED_BYTES,
  CARRIED_TABLES,
  IDENTITY_OF,
  NOT_CARRIED,
  TABLES_WITHOUT_IDENTITY,
} from '../../postgres/catalog/upgrade.sql.js';
import { setReplicaIdentity } from '../../postgres/ddl/replica-identity.ddl.js';
import { Problem } from '../../problems/problem.js';
import type { TableName, UpgradeFacts } from '../facts.js';
import type { StepContext, UpgradeStep } from '../workflow/step.js';

/** Decides which tables are carried, and gives those without a replica identity one where that was asked for. */
export const replicaIdentityStep: UpgradeStep = {
  name: 'replica-identity',
  phase: 'prepare',

  async run(context) {
    const source = await context.act('source');
    const tables = await source.rows<TableName>(CARRIED_TABLES);
    const size = await source.row<{ bytes: string; rows: string }>(CARRIED_BYTES);
    await context.record({
      tables: tables.map(({ schema, name }) => ({ schema, name })),
      notCarried: await notCarried(context),
      bytes: Number(size.bytes),
      rows: Number(size.rows),
    });
    const lacking = await source.rows<TableName & { identity: string }>(TABLES_WITHOUT_IDENTITY);
    if (lacking.length > 0 && context.request.replicaIdentity !== 'full-where-missing') {
      throw new Problem(
        'PREREQUISITE_FAILED',
        `tables without replica identity: ${lacking.map(qualified).join(', ')}`,
        {
          hint: 'Give each a primary key or REPLICA IDENTITY, or ask for "replicaIdentity": "full-where-missing".',
        },
      );
    }
    // What it was is recorded before it is changed; a repeat after a crash must not record FULL as "before".
    const recorded = context.facts.identityChanged ?? [];
    const known = new Set(recorded.map(qualified));
    const changed = [
      ...recorded,
      ...lacking
        .filter((table) => !known.has(qualified(table)))
        .map(({ schema, name, identity }) => ({
          schema,
          name,
          before: identity === 'n' ? ('n' as const) : ('d' as const),
        })),
    ];
    await context.record({ identityChanged: changed });
    for (const { schema, name } of lacking) {
      await context.run('source', setReplicaIdentity(schema, name, { kind: 'full' }));
    }
    const still = await source.rows<TableName>(TABLES_WITHOUT_IDENTITY);
    if (still.length > 0)
      throw new Problem('CONFLICT', `still without replica identity: ${still.map(qualified).join(', ')}`);
    return { tables: tables.length, madeFull: changed.map(qualified), bytes: Number(size.bytes) };
  },

  async undo(context) {
    const changed = context.facts.identityChanged ?? [];
    if (changed.length === 0) return null;
    const source = await context.act('source');
    const restored: string[] = [];
    for (const { schema, name, before } of changed) {
      const [now] = await source.rows<{ identity: string }>(IDENTITY_OF, [schema, name]);
      // Dropped, or changed by somebody since: then it is theirs.
      if (now?.identity !== 'f') continue;
      await context.run('source', setReplicaIdentity(schema, name, { kind: before === 'n' ? 'nothing' : 'default' }));
      restored.push(`${schema}.${name}`);
    }
    await context.forget('identityChanged');
    return { restored };
  },
};

async function notCarried(context: StepContext): Promise<NonNullable<UpgradeFacts['notCarried']>> {
  const rows = await (await context.act('source')).rows<{ kind: string; object: string }>(NOT_CARRIED);
  const remedies: Record<string, string> = {
    'foreign table': 'Defined on the target; its data stays where it is. Check its server and user mapping.',
    'materialized view': 'Refreshed on the target before the switchover; refresh again when its rows must be newest.',
    'unlogged table': 'Defined empty on the target; fill it by hand if its rows matter.',
    'large object': 'Not copied. Export and import them (lo_export, lo_import) in a maintenance window.',
  };
  return [...new Set(rows.map(({ kind }) => kind))].map((kind) => ({
    kind,
    objects: rows.filter((row) => row.kind === kind).map(({ object }) => object),
    remedy: remedies[kind] ?? '',
  }));
}

function qualified({ schema, name }: TableName): string {
  return `${schema}.${name}`;
}
