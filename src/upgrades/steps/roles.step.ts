import { dropCreatedRoles } from '../../postgres/schema/created-roles.js';
import { createdRoles, createRoles, planRoles } from '../../postgres/schema/roles.js';
import type { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { planFence } from '../traffic/plan-fence.js';
import { barRoles, lowerFence } from '../traffic/sql-fence.js';
import { findWriterRoles } from '../traffic/writers.js';
import type { UpgradeStep } from '../workflow/step.js';
import { excludedRoles } from './fence.step.js';

/** The roles that the schema names and the writers log in as, on the target; the writers stay out until it is opened. */
export const rolesStep: UpgradeStep = {
  name: 'roles',
  phase: 'prepare',

  async run(context) {
    await context.progress('creating roles on the target');
    const [source, target] = [await context.act('source'), await context.act('target')];
    const excluded = [...(await excludedRoles(context, 'source')), ...(await excludedRoles(context, 'target'))];
    const writers = await findWriterRoles(source, {
      ...(context.request.writerRoles === null ? {} : { requested: context.request.writerRoles }),
      excluded,
    });
    if (writers.blockers.length > 0) {
      const who = writers.blockers.map(({ role, reason }) => `${role} ${reason}`).join('; ');
      throw new Problem('PRECONDITION_FAILED', `roles that cannot be barred: ${who}`);
    }
    const names = writers.roles.map(({ name }) => name);
    const given = context.writerPasswords();
    const plan = await planRoles(source, target, { roles: names, passwordsGiven: [...given.keys()] });
    await refuseBarredElsewhere(target, names);
    const created = await createRoles(source, target, plan, { barLogins: true, passwords: given });
    await barOnTarget(context, names);
    return {
      created,
      existing: plan.existing.map(({ name, differences }) => ({ name, differences })),
      writers: names,
      warnings: plan.warnings,
    };
  },

  async undo(context) {
    const record = context.facts.targetBar;
    if (record) await lowerFence(await context.act('target'), record);
    await context.forget('targetBar');
    const report = await dropCreatedRoles(await context.act('target'));
    if (report.left.length > 0) await context.event('left-behind', { side: 'target', roles: report.left });
    return { ...report };
  },
};

/** A writer of that name who is kept out of the target by somebody else would be let in by our opening, or not at all. */
async function refuseBarredElsewhere(target: Session, names: string[]): Promise<void> {
  const ours = new Set((await createdRoles(target)).map(({ name }) => name));
  const barred = (
    await target.rows<{ name: string }>(
      'select rolname::text as name from pg_catalog.pg_roles where rolname = any ($1) and not rolcanlogin',
      [names],
    )
  ).filter(({ name }) => !ours.has(name));
  if (barred.length === 0) return;
  throw new Problem(
    'PRECONDITION_FAILED',
    `writers exist on the target but may not log in there: ${barred.map(({ name }) => name).join(', ')}`,
    { hint: 'Another upgrade to this server may hold them barred: finish it first. Else give them LOGIN, then retry.' },
  );
}

/** Records the writers' roles on the target as they are, then bars them; opening reads this record. */
async function barOnTarget(context: Parameters<UpgradeStep['run']>[0], names: string[]): Promise<void> {
  const target = await context.act('target');
  if (!context.facts.targetBar) {
    const made = new Map((await createdRoles(target)).map((role) => [role.name, role.wantedLogin]));
    const present = await target.rows<{ oid: number; name: string; login: boolean }>(
      `select oid::int8::int as oid, rolname::text as name, rolcanlogin as login
         from pg_catalog.pg_roles where rolname = any ($1)`,
      [names],
    );
    const roles = present.map(({ oid, name, login }) => ({ oid, name, canLoginWhenOpen: made.get(name) ?? login }));
    const excluded = await excludedRoles(context, 'target');
    await context.record({ targetBar: await planFence(target, { roles, excluded }) });
  }
  await barRoles(target, context.facts.targetBar!);
}
