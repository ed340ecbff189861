import { dropCreatedRoles, rolesUsedElsewhere } from '../../postgres/schema/created-roles.js';
import { createdRoles, createRoles, planRoles } from '../../postgres/schema/roles.js';
import type { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { barredElsewhere } from '../traffic/bar.js';
import { type FenceRecord, mergeRecords } from '../traffic/fence-record.js';
import { planFence } from '../traffic/plan-fence.js';
import { barRoles, lowerFence } from '../traffic/sql-fence.js';
import { findWriterRoles } from '../traffic/writers.js';
import type { StepContext, UpgradeStep } from '../workflow/step.js';
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
    const target = await context.act('target');
    const { targetBar, rollbackFence } = context.facts;
    // A rollback that was not ended may have barred more roles than the first fence did.
    const record = targetBar && rollbackFence ? mergeRecords(targetBar, rollbackFence) : (targetBar ?? rollbackFence);
    const inUse = await rolesUsedElsewhere(target);
    if (record) await lowerFence(target, withLogin(record, inUse));
    await context.forget('targetBar', 'rollbackFence');
    const report = await dropCreatedRoles(target, inUse);
    if (report.left.length > 0) await context.event('left-behind', { side: 'target', roles: report.left });
    return { ...report };
  },
};

/** The record with those roles' login left as it is: they came to be used in other databases since. */
function withLogin(record: FenceRecord, inUse: string[]): FenceRecord {
  const roles = record.roles.map((role) =>
    inUse.includes(role.name) ? { ...role, method: 'revoke-connect' as const } : role,
  );
  return { ...record, roles };
}

/** A writer of that name who is kept out of the target by somebody else would be let in by our opening, or not at all. */
async function refuseBarredElsewhere(target: Session, names: string[]): Promise<void> {
  const ours = new Set((await createdRoles(target)).map(({ name }) => name));
  const barred = (
    await target.rows<{ name: string }>(
      'select rolname::text as name from pg_catalog.pg_roles where rolname = any ($1) and not rolcanlogin',
      [names],
    )
  ).filter(({ name }) => !ours.has(name));
  if (barred.length > 0) throw barredElsewhere(barred.map(({ name }) => name));
}

/**
 * Records, as they are on the target, the writers' roles and the others that were created and may log in; then bars
 * them. Opening reads this record.
 */
async function barOnTarget(context: StepContext, writers: string[]): Promise<void> {
  const target = await context.act('target');
  if (!context.facts.targetBar) {
    const made = new Map((await createdRoles(target)).map((role) => [role.name, role.wantedLogin]));
    const names = [...writers, ...[...made].flatMap(([name, wantedLogin]) => (wantedLogin ? [name] : []))];
    const present = await target.rows<{ oid: number; name: string; login: boolean }>(
      `select oid::int8::int as oid, rolname::text as name, rolcanlogin as login
         from pg_catalog.pg_roles where rolname = any ($1)`,
      [names],
    );
    const roles = present.map(({ oid, name, login }) => ({ oid, name, canLoginWhenOpen: made.get(name) ?? login }));
    const excluded = await excludedRoles(context, 'target');
    await context.record({ targetBar: await planFence(target, { roles, excluded }) });
  }
  try {
    await barRoles(target, context.facts.targetBar!);
  } catch (error) {
    // Nothing of it is in force, and it must not be lowered: that would let the roles in on whoever holds them.
    if (error instanceof Problem && error.code === 'PRECONDITION_FAILED') await context.forget('targetBar');
    throw error;
  }
}
