import type { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import type { FenceRecord } from './fence-record.js';
import { planFence } from './plan-fence.js';
import { protectedRoles } from './protected-roles.js';
import { findWriterRoles } from './writers.js';

/**
 * Who has to be barred in the session's database, and how; only reads. Refuses when somebody cannot be barred;
 * requested roles that were dropped since are passed over.
 * `connectionUser` is whom the other server connects as, `known` who was asked for before.
 */
export async function planWritersFence(
  session: Session,
  requested: string[] | null,
  connectionUser: string,
  known: readonly number[],
): Promise<FenceRecord> {
  const excluded = await protectedRoles(session, [connectionUser]);
  const writers = await findWriterRoles(session, {
    ...(requested === null ? {} : { requested }),
    excluded,
    known,
  });
  if (writers.blockers.length > 0) {
    const who = writers.blockers.map(({ role, reason }) => `${role} ${reason}`).join('; ');
    throw new Problem('PRECONDITION_FAILED', `roles that cannot be barred: ${who}`);
  }
  return await planFence(session, { roles: writers.roles, excluded });
}
