import type { ConnectionTarget } from '../connection.js';
import { Session } from '../session.js';
import type { TableName } from '../catalog/tables.js';
import { BoundSnapshot } from './bound-snapshot.js';

/** Long enough for one bind to follow another; short enough that no firewall has dropped the connections meanwhile. */
const KEPT_MS = 15_000;

/** The sessions that a bind works with. */
export interface BindSessions {
  publisher: BoundSnapshot;
  publisherControl: Session;
  subscriber: BoundSnapshot;
  subscriberControl: Session;
}

/**
 * Keeps the sessions of one bind for the next: connecting, and learning the catalog anew, takes longer than a bind,
 * and the last one of an upgrade happens while nobody can write. Each set serves one bind at a time; what is not
 * used for 15 seconds is closed.
 */
export class BindSessionPool {
  private kept: BindSessions | null = null;
  private expiry: NodeJS.Timeout | undefined;
  private closed = false;

  constructor(
    private readonly publisher: ConnectionTarget,
    private readonly subscriber: ConnectionTarget,
  ) {}

  /** Sessions that lock `tables` with their next snapshots. Rejects as connecting does, and leaves none open then. */
  async lend(tables: readonly TableName[]): Promise<BindSessions> {
    const kept = this.takeKept();
    if (kept && all(kept).every((session) => session.alive)) {
      kept.publisher.tables = tables;
      kept.subscriber.tables = tables;
      return kept;
    }
    if (kept) await closeAll(all(kept));
    return open(this.publisher, this.subscriber, tables);
  }

  /** Takes sessions back that work as before. Whatever they hold is let go first. Never rejects. */
  async giveBack(sessions: BindSessions): Promise<void> {
    if (!all(sessions).every((session) => session.alive)) return this.discard(sessions);
    try {
      await Promise.all([sessions.publisher.letGo(), sessions.subscriber.letGo()]);
    } catch {
      // One that cannot even roll back is of no use to the next.
      return this.discard(sessions);
    }
    if (this.closed || this.kept) return this.discard(sessions);
    this.kept = sessions;
    this.expiry = setTimeout(() => void this.closeKept(), KEPT_MS).unref();
  }

  /** Closes sessions that are not to be used again. Never rejects. */
  async discard(sessions: BindSessions): Promise<void> {
    await closeAll(all(sessions));
  }

  /** What is lent now is closed when it comes back. */
  async close(): Promise<void> {
    this.closed = true;
    await this.closeKept();
  }

  private takeKept(): BindSessions | null {
    clearTimeout(this.expiry);
    const { kept } = this;
    this.kept = null;
    return kept;
  }

  private async closeKept(): Promise<void> {
    const kept = this.takeKept();
    if (kept) await this.discard(kept);
  }
}

function all(sessions: BindSessions): (BoundSnapshot | Session)[] {
  return [sessions.publisher, sessions.publisherControl, sessions.subscriber, sessions.subscriberControl];
}

async function closeAll(sessions: { close(): Promise<void> }[]): Promise<void> {
  await Promise.all(sessions.map((session) => session.close()));
}

/** All four; when one fails, the others are closed. */
async function open(
  publisher: ConnectionTarget,
  subscriber: ConnectionTarget,
  tables: readonly TableName[],
): Promise<BindSessions> {
  // An asynchronous commit would leave the nudge unflushed, and a walsender sends flushed WAL only; waiting for a
  // synchronous standby is not needed.
  const control = { purpose: 'bind control', settings: { synchronous_commit: 'local' } };
  const opening = [
    BoundSnapshot.open(publisher, 'bind publisher', tables),
    Session.open(publisher, control),
    BoundSnapshot.open(subscriber, 'bind subscriber', tables),
    Session.open(subscriber, control),
  ] as const;
  const settled = await Promise.allSettled(opening);
  if (settled.some(({ status }) => status === 'rejected')) {
    await closeAll(settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])));
  }
  const [publisherHolder, publisherControl, subscriberHolder, subscriberControl] = await Promise.all(opening);
  return { publisher: publisherHolder, publisherControl, subscriber: subscriberHolder, subscriberControl };
}
