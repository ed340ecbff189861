import {
  type FencedSession,
  ROLE_STATE,
  type RoleStateRow,
  SESSIONS_OF_ROLES,
} from '../../postgres/catalog/fence.sql.js';
import type { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import type { FenceRecord } from './fence-record.js';
import { findWriterRoles, type WriterQuestion } from './writers.js';

/**
 * Refuses where somebody whom the fence is for could log in, or has: a role made or let in since the fence was planned,
 * or one whose login or CONNECT was given back. What it wrote after the other side was opened would be in no stream.
 */
export async function refuseAdmitted(
  session: Session,
  { roles }: FenceRecord,
  question: WriterQuestion,
): Promise<void> {
  // What cannot be barred by now (a requested role that was dropped) cannot write either.
  const writers = await findWriterRoles(session, question);
  const oids = [...new Set([...roles, ...writers.roles].map(({ oid }) => oid))];
  const states = await session.rows<RoleStateRow>(ROLE_STATE, [oids]);
  const admitted = states.filter(({ canLogin, mayConnect }) => canLogin && mayConnect).map(({ name }) => name);
  const sessions = await session.rows<FencedSession>(SESSIONS_OF_ROLES, [oids]);
  if (admitted.length === 0 && sessions.length === 0) return;
  const who = [...admitted, ...sessions.map(({ pid, user }) => `pid ${pid} of ${user}`)].join(', ');
  throw new Problem('CONFLICT', `roles that write can log in inside the fence, or have: ${who}`, {
    hint: 'Stop what makes roles or gives logins back (a secrets engine, a reconciler) meanwhile, then try once more: the next fence bars these too.',
    extra: { roles: admitted, sessions },
  });
}
