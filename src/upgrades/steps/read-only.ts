import { READ_ONLY_ENTRIES, type ReadOnlyEntry } from '../../postgres/catalog/read-only.sql.js';
import { readOnlyEntry, withReadOnlyEntry } from '../../postgres/ddl/fence.ddl.js';
import { Problem } from '../../problems/problem.js';
import { readOnlyOnTarget } from '../traffic/read-only.js';
import type { StepContext } from '../workflow/step.js';

/** The bar holds the setting as it is to be once the target is open. */
export async function followReadOnly(context: StepContext, ours: string[]): Promise<void> {
  const bar = context.facts.targetBar!;
  const entries = await (await context.act('source')).rows<ReadOnlyEntry>(READ_ONLY_ENTRIES, [ours]);
  const roles = bar.roles.map((role) => {
    const own = entries.find((entry) => entry.thisDatabase && entry.role === role.name);
    const wanted = own === undefined ? null : own.on ? 'on' : 'off';
    const same = !ours.includes(role.name) || readOnlyEntry(role.settings) === wanted;
    return same ? role : { ...role, settings: withReadOnlyEntry(role.settings, wanted) };
  });
  if (roles.some((role, index) => role !== bar.roles[index])) await context.record({ targetBar: { ...bar, roles } });
}

/** Refuses when a setting on the target, other than our bar, would keep whom from writing there that writes here. */
export async function refuseReadOnly(context: StepContext, writers: string[]): Promise<void> {
  const found = await readOnlyOnTarget({
    source: await context.act('source'),
    target: await context.act('target'),
    connections: { source: await context.connection('source'), target: await context.connection('target') },
    writers,
    barred: context.facts.targetBar!.roles.map(({ name }) => name),
  });
  if (found.length === 0) return;
  throw new Problem(
    'PREREQUISITE_FAILED',
    `writers could only read on the opened target: default_transaction_read_only is on for ${found.map(({ object }) => object).join(', ')}`,
    { hint: `On the target: ${found.map(({ mend }) => mend).join(' ')} Then try again.`, extra: { settings: found } },
  );
}
