import { dropCreatedRoles, rolesUsedElsewhere } from '../../postgres/schema/created-roles.js';
import { followRoles, moreThanOnSource } from '../../postgres/schema/role-changes.js';
import { createdRoles, createRoles, planRoles } from '../../postgres/schema/roles.js';
import type { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { knownWriters } from '../facts.js';
import { barredElsewhere } from '../traffic/bar.js';
import { extendRecord, type FenceRecord, mergeRecords } from '../traffic/fence-record.js';
import { planFence } from '../traffic/plan-fence.js';
import { barRoles, lowerFence, openRoles } from '../traffic/sql-fence.js';
import { findWriterRoles, type Writers } from '../traffic/writers.js';
import { STAYS } from '../workflow/left-behind.js';
import type { Side, StepContext, UpgradeStep } from '../workflow/step.js';
import { excludedRoles } from './fence.step.js';

/** The roles that the schema names and the writers log in as, on the target; the writers stay out until it is opened. */
export const rolesStep: UpgradeStep = {
  name: 'roles',
  phase: 'prepare',

  async run(context) {
    await context.progress('creating roles on the target');
    const { plan, created, writers } = await carry(context);
    await barOnTarget(context, writers);
    return {
      created,
      existing: plan.existing.map(({ name, differences }) => ({ name, differences })),
      writers,
      warnings: plan.warnings,
    };
  },

  async undo(context) {
    const target = await context.act('target');
    const { targetBar, rollbackFence } = context.facts;
    // A rollback that was not ended may have barred more roles than the first fence did.
    const record = targetBar && rollbackFence ? mergeRecords(targetBar, rollbackFence) : (targetBar ?? rollbackFence);
    const inUse = await rolesUsedElsewhere(target);
    // The target may be the only copy: whoever was to be let in at the opening gets in, and the roles stay.
    const kept = context.isLeft('source');
    if (record) await (kept ? openRoles : lowerFence)(target, withLogin(record, inUse));
    await context.forget('targetBar', 'rollbackFence');
    if (kept) return STAYS;
    const report = await dropCreatedRoles(target, inUse);
    if (report.left.length > 0) await context.event('left-behind', { side: 'target', roles: report.left });
    return { ...report };
  },
};

interface FollowedRoles {
  changes: string[];
  writers: string[];
  /** Roles of the upgrade that we created on the target. */
  ours: string[];
}

/**
 * Carries once more, before the fence, what was changed of the roles on the source since: new ones, and of those that we
 * created passwords, attributes, memberships and settings. They stay barred. Whatever else differs is told, not changed.
 */
export async function followRolesOfSource(context: StepContext): Promise<FollowedRoles> {
  await context.progress('looking whether roles changed on the source');
  const { plan, created, followed, writers, excluded } = await carry(context);
  await barFurther(context, writers);
  const named = (kind: string) => (role: string) => `${kind} ${role}`;
  const changes = [
    ...created.map(named('created')),
    ...followed.map(({ name, differences }) => `${name}: ${differences.join(', ')}`),
    ...plan.memberships.map(({ member, role }) => `${member}: member of ${role}`),
    ...plan.settings.map(({ role, name }) => `${role}: ${name}`),
  ];
  if (changes.length > 0) await context.event('roles-followed', { changes: changes.slice(0, 200) });
  const more = await moreThanOnSource(await context.act('source'), await context.act('target'));
  // Logins of replication and of Lockstep are each server's own.
  const existing = plan.existing.filter(({ name, differences }) => differences.length > 0 && !excluded.includes(name));
  const differing = [...existing, ...more];
  if (differing.length > 0) await context.event('roles-differ', { roles: differing.slice(0, 200) });
  return { changes, writers, ours: plan.create.map(({ name }) => name) };
}

/** What the source's roles are now, on the target; the plan says what there was to do. */
async function carry(context: StepContext) {
  const [source, target] = [await context.act('source'), await context.act('target')];
  const excluded = [...(await excludedRoles(context, 'source')), ...(await excludedRoles(context, 'target'))];
  const found = await findWriterRoles(source, {
    ...(context.request.writerRoles === null ? {} : { requested: context.request.writerRoles }),
    excluded,
    known: knownWriters(context.facts, 'source'),
  });
  if (found.blockers.length > 0) {
    const who = found.blockers.map(({ role, reason }) => `${role} ${reason}`).join('; ');
    throw new Problem('PRECONDITION_FAILED', `roles that cannot be barred: ${who}`);
  }
  await tellAbsent(context, 'source', found);
  const writers = found.roles.map(({ name }) => name);
  const earlier = (context.facts.writers ?? []).filter(({ oid }) => !found.roles.some((role) => role.oid === oid));
  await context.record({ writers: [...earlier, ...found.roles.map(({ oid, name }) => ({ oid, name }))] });
  const passwords = context.writerPasswords();
  const barred = (context.facts.targetBar?.roles ?? []).map(({ name }) => name);
  const leave = await rolesUsedElsewhere(target);
  const plan = await planRoles(source, target, {
    roles: writers,
    passwordsGiven: [...passwords.keys()],
    barred,
    leave,
  });
  await refuseBarredElsewhere(
    target,
    writers.filter((name) => !barred.includes(name)),
  );
  const created = await createRoles(source, target, plan, { barLogins: true, passwords });
  const followed = await followRoles(source, target, plan, passwords);
  return { plan, created, followed, writers, excluded };
}

/** Whom `writerRoles` names and nobody can be barred for any more: told, since a mistake and a dropped role look alike. */
export async function tellAbsent(context: StepContext, side: Side, { absent }: Pick<Writers, 'absent'>): Promise<void> {
  if (absent.length > 0) await context.event('writer-roles-absent', { side, roles: absent });
}

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
    const roles = await rolesToBar(target, writers);
    const excluded = await excludedRoles(context, 'target');
    await context.record({ targetBar: await planFence(target, { roles, excluded }) });
  }
  try {
    await barRoles(target, context.facts.targetBar!);
  } catch (error) {
    // Nothing of it is in force, and it must not be lowered: that would let the roles in on whoever holds them.
    if (isRefusal(error)) await context.forget('targetBar');
    throw error;
  }
}

/** Takes into the bar whoever is not in it yet; the others stay as they are. */
async function barFurther(context: StepContext, writers: string[]): Promise<void> {
  const target = await context.act('target');
  const before = context.facts.targetBar!;
  const known = new Set(before.roles.map(({ oid }) => oid));
  const roles = (await rolesToBar(target, writers)).filter(({ oid }) => !known.has(oid));
  if (roles.length > 0) {
    const further = await planFence(target, { roles, excluded: await excludedRoles(context, 'target') });
    await context.record({ targetBar: extendRecord(before, further) });
  }
  try {
    // Also where nobody is new: a crash may have come between the record and the bar.
    await barRoles(target, context.facts.targetBar!);
  } catch (error) {
    if (isRefusal(error)) await context.record({ targetBar: before });
    throw error;
  }
}

async function rolesToBar(target: Session, writers: string[]) {
  const made = new Map((await createdRoles(target)).map((role) => [role.name, role.wantedLogin]));
  const names = [...writers, ...[...made].flatMap(([name, wantedLogin]) => (wantedLogin ? [name] : []))];
  const present = await target.rows<{ oid: number; name: string; login: boolean }>(
    `select oid::int8::int as oid, rolname::text as name, rolcanlogin as login
       from pg_catalog.pg_roles where rolname = any ($1)`,
    [names],
  );
  return present.map(({ oid, name, login }) => ({ oid, name, canLoginWhenOpen: made.get(name) ?? login }));
}

function isRefusal(error: unknown): boolean {
  return error instanceof Problem && error.code === 'PRECONDITION_FAILED';
}
