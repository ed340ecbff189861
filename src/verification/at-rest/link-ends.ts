import { readServerFacts } from '../../postgres/catalog/server-facts.js';
import { boundedAnswers, type ConnectionTarget } from '../../postgres/connection.js';
import { logicalSlotStatus } from '../../postgres/replication/logical-slot.js';
import { type Session, withSession } from '../../postgres/session.js';

/**
 * Who the ends of a link are, as one text that is another once a server was replaced by one that may lack the last of its
 * WAL, or the subscription was made anew.
 */
export async function whoEnds(
  ends: Record<'publisher' | 'subscriber', ConnectionTarget>,
  subscriptionOid: number,
): Promise<string> {
  const look = { purpose: 'verification', ...boundedAnswers() };
  const who = async (session: Session) => {
    const { systemIdentifier, timeline } = await readServerFacts(session);
    return [systemIdentifier, timeline];
  };
  const [publisher, subscriber] = await Promise.all([
    withSession(ends.publisher, look, who),
    withSession(ends.subscriber, look, who),
  ]);
  return JSON.stringify([publisher, subscriber, subscriptionOid]);
}

/** Whether a slot of that name is there, which an earlier process left. */
export function hasSlot(publisher: ConnectionTarget, slot: string): Promise<boolean> {
  return withSession(publisher, { purpose: 'verification', ...boundedAnswers() }, async (session) => {
    return (await logicalSlotStatus(session, slot)) !== null;
  });
}
