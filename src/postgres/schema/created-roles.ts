import { Problem } from '../../problems/problem.js';
import { ROLE_STATE, ROLES_BY_NAME, type RoleStateRow } from '../catalog/fence.sql.js';
import * as sql from '../catalog/roles.sql.js';
import { PG16 } from '../../shared/server-version.js';
import { identifier } from '../quoting.js';
import type { Session } from '../session.js';
import { dropEmptySchema } from './created-objects.js';
import { createdRoles } from './roles.js';

/** Lets the created roles log in that may on the source; returns their names. Repeating it changes nothing. */
export async function allowLogins(target: Session): Promise<string[]> {
  const waiting = (await createdRoles(target)).filter(({ wantedLogin, login }) => wantedLogin && !login);
  await target.transaction(async () => {
    for (const { name } of waiting) await target.execute(`alter role ${identifier(name)} login`);
  });
  return waiting.map(({ name }) => name);
}

/** Takes the login out of the roles it created and joined for the upgrade; returns their names. */
export async function leaveCreatedRoles(target: Session): Promise<string[]> {
  const { present } = await target.row<{ present: boolean }>(sql.roleJournalExists);
  if (!present || target.versionNum < PG16) return [];
  const joined = await target.rows<{ name: string }>(sql.ownMemberships);
  for (const { name } of joined) await target.execute(`revoke ${identifier(name)} from current_user`);
  return joined.map(({ name }) => name);
}

/**
 * Created roles that may log in, and have come to be used in other databases of the server: themselves or by a group,
 * in which case PostgreSQL would let us drop them. Another upgrade to the same server is what brings that about.
 */
export async function rolesUsedElsewhere(target: Session): Promise<string[]> {
  const names = (await createdRoles(target)).filter(({ login }) => login).map(({ name }) => name);
  const roles = await target.rows<{ oid: number }>(ROLES_BY_NAME, [names]);
  const states = await target.rows<RoleStateRow>(ROLE_STATE, [roles.map(({ oid }) => oid)]);
  return states.filter(({ usedElsewhere }) => usedElsewhere).map(({ name }) => name);
}

/**
 * Drops the roles we created (abort), after `dropCreated` took away what they owned. A role that owns or is granted
 * something we did not create stays and is named with the reason, and so do those in `keep`. May be called again at any time.
 */
export async function dropCreatedRoles(
  target: Session,
  keep: string[] = [],
): Promise<{ dropped: string[]; left: { role: string; because: string }[] }> {
  const dropped: string[] = [];
  const left: { role: string; because: string }[] = [];
  const roles = await createdRoles(target);
  for (const { name } of roles) {
    if (keep.includes(name)) {
      left.push({ role: name, because: 'it logs in to other databases of this server' });
      continue;
    }
    try {
      await target.execute(`drop role ${identifier(name)}`);
      dropped.push(name);
    } catch (error) {
      if (!(error instanceof Problem) || error.options.sqlstate === undefined) throw error;
      left.push({ role: name, because: error.detail });
    }
  }
  const { present } = await target.row<{ present: boolean }>(sql.roleJournalExists);
  if (present) {
    await target.execute(sql.forgetRole);
    if (left.length === 0) {
      await target.execute('drop table lockstep.restore_role');
      await dropEmptySchema(target);
    }
  }
  return { dropped, left };
}
