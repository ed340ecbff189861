import {
  LOGIN_MEMBERS,
  ROLES_BY_NAME,
  type RoleRow,
  SUPERUSER_LOGINS,
  WRITER_ROLES,
  type WriterRow,
} from '../../postgres/catalog/fence.sql.js';
import type { Session } from '../../postgres/session.js';

export interface WriterQuestion {
  /** Roles that were asked for under any name before: barred while they can write, renamed or in another group by now. */
  known?: readonly number[];
  /** Roles to bar instead of those found. A group (NOLOGIN) stands for its LOGIN members. */
  requested?: string[];
  /** Never barred: Lockstep's login, the connection users and the subscription owners of both directions. */
  excluded: string[];
}

interface WriterRole {
  oid: number;
  name: string;
  /** How it can write, e.g. `INSERT on public.orders as member of writers`. */
  why: string;
}

/** Who the fence has to bar, and what stands in its way. */
export interface Writers {
  roles: WriterRole[];
  /** Requested roles that cannot be barred. With any of these no fence is planned. */
  blockers: { role: string; reason: string }[];
  /**
   * Requested, and nobody to bar stands behind the name. Before an upgrade that is a mistake; later such a role was
   * dropped, and cannot write.
   */
  absent: { role: string; reason: string }[];
  /** Able to write but not asked for: they could write through the fence, which its proof would then show. */
  notRequested: WriterRole[];
  /** Superusers cannot be barred by SQL; what they write is detected by the proof, not prevented. */
  superusers: { name: string; sessions: number }[];
}

/** Finds the roles to bar in the session's database. `WRITER_ROLES` says exactly who counts as able to write. */
export async function findWriterRoles(session: Session, question: WriterQuestion): Promise<Writers> {
  const { requested, excluded, known = [] } = question;
  const found = (await session.rows<WriterRow>(WRITER_ROLES)).filter((role) => !excluded.includes(role.name));
  const superusers = (await session.rows<{ name: string; sessions: number }>(SUPERUSER_LOGINS)).filter(
    (role) => !excluded.includes(role.name) || role.sessions > 0,
  );
  if (requested === undefined) return { roles: found, blockers: [], absent: [], notRequested: [], superusers };
  const { roles: named, blockers, absent } = await resolveRequested(session, requested, excluded, found);
  const further = found.filter(({ oid }) => known.includes(oid) && !named.some((role) => role.oid === oid));
  const roles = [...named, ...further];
  const notRequested = found.filter((role) => !roles.some(({ oid }) => oid === role.oid));
  return { roles, blockers, absent, notRequested, superusers };
}

async function resolveRequested(session: Session, requested: string[], excluded: string[], found: WriterRow[]) {
  const known = await session.rows<RoleRow>(ROLES_BY_NAME, [requested]);
  const blockers: Writers['blockers'] = [];
  const absent: Writers['absent'] = [];
  const roles = new Map<number, WriterRole>();
  const add = (role: RoleRow, otherwise: string) => {
    roles.set(
      role.oid,
      found.find(({ oid }) => oid === role.oid) ?? { oid: role.oid, name: role.name, why: otherwise },
    );
  };
  for (const name of new Set(requested)) {
    const role = known.find((row) => row.name === name);
    if (role === undefined) {
      absent.push({ role: name, reason: 'does not exist' });
      continue;
    }
    const reason = refusal(role, excluded.includes(name));
    if (reason !== null) {
      blockers.push({ role: name, reason });
    } else if (role.canLogin) {
      add(role, 'asked for');
    } else {
      const members = (await session.rows<RoleRow>(LOGIN_MEMBERS, [role.oid])).filter(
        (member) => !excluded.includes(member.name),
      );
      if (members.length === 0) absent.push({ role: name, reason: 'is a group without a member that may log in' });
      for (const member of members) add(member, `asked for as member of ${name}`);
    }
  }
  return { roles: [...roles.values()].sort((a, b) => (a.name < b.name ? -1 : 1)), blockers, absent };
}

function refusal(role: RoleRow, excluded: boolean): string | null {
  if (excluded) return 'carries replication or Lockstep itself: barring it would stop the upgrade';
  if (role.superuser) return 'is a superuser, which no bar holds; take the attribute away or stop what uses it';
  return null;
}
