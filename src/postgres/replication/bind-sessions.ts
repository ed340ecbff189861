import type { ConnectionTarget } from '../connection.js';
import { Session } from '../session.js';
import type { TableName } from '../catalog/tables.js';
import { BoundSnapshot } from './bound-snapshot.js';

/** Long enough for one bind to follow another; short enough that no firewall has dropped the connections meanwhile. */
const KEPT_MS = 15_000;
/** A server that answers does so at once: nothing but a rollback or `select 1` is asked. */
const ANSWER_MS = 2_000;

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
  private readonly lent = new Set<BindSessions>();
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
    const sessions = kept && (await this.stillAnswers(kept)) ? kept : await open(this.publisher, this.subscriber);
    sessions.publisher.tables = tables;
    sessions.subscriber.tables = tables;
    this.lent.add(sessions);
    return sessions;
  }

  /** Takes sessions back that work as before. Whatever they hold is let go first. Never rejects. */
  async giveBack(sessions: BindSessions): Promise<void> {
    // One that cannot even roll back is of no use to the next.
    const isFree = await inTime(sessions, () => Promise.all([sessions.publisher.letGo(), sessions.subscriber.letGo()]));
    if (!isFree || this.closed || this.kept) return this.discard(sessions);
    this.lent.delete(sessions);
    this.kept = sessions;
    this.expiry = setTimeout(() => void this.closeKept(), KEPT_MS).unref();
  }

  /** Closes sessions that are not to be used again. Never rejects. */
  async discard(sessions: BindSessions): Promise<void> {
    this.lent.delete(sessions);
    await closeAll(all(sessions));
  }

  /** What is lent now is of no use to anybody any more, and dropped. */
  async close(): Promise<void> {
    this.closed = true;
    for (const sessions of this.lent) dropConnections(sessions);
    await this.closeKept();
  }

  /** Whether they can be lent again; closed where not. */
  private async stillAnswers(kept: BindSessions): Promise<boolean> {
    const statements = all(kept).map((held) => () => ('session' in held ? held.session : held).execute('select 1'));
    if (await inTime(kept, () => Promise.all(statements.map((statement) => statement())))) return true;
    await this.discard(kept);
    return false;
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

/** Without a word to the servers, which may not hear it: whatever waits for an answer rejects. */
export function dropConnections(sessions: BindSessions): void {
  for (const held of all(sessions)) ('session' in held ? held.session : held).destroy();
}

/** Whether `work` was done; sessions that do not answer in time are dropped. */
async function inTime(sessions: BindSessions, work: () => Promise<unknown>): Promise<boolean> {
  if (!all(sessions).every((session) => session.alive)) return false;
  const silence = setTimeout(() => dropConnections(sessions), ANSWER_MS);
  try {
    await work();
    return true;
  } catch {
    return false;
  } finally {
    clearTimeout(silence);
  }
}

async function closeAll(sessions: { close(): Promise<void> }[]): Promise<void> {
  await Promise.all(sessions.map((session) => session.close()));
}

/** All four; when one fails, the others are closed. */
async function open(publisher: ConnectionTarget, subscriber: ConnectionTarget): Promise<BindSessions> {
  // An asynchronous commit would leave the nudge unflushed, and a walsender sends flushed WAL only; waiting for a
  // synchronous standby is not needed.
  const control = { purpose: 'bind control', settings: { synchronous_commit: 'local' } };
  const opening = [
    BoundSnapshot.open(publisher, 'bind publisher', []),
    Session.open(publisher, control),
    BoundSnapshot.open(subscriber, 'bind subscriber', []),
    Session.open(subscriber, control),
  ] as const;
  const settled = await Promise.allSettled(opening);
  if (settled.some(({ status }) => status === 'rejected')) {
    await closeAll(settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])));
  }
  const [publisherHolder, publisherControl, subscriberHolder, subscriberControl] = await Promise.all(opening);
  return { publisher: publisherHolder, publisherControl, subscriber: subscriberHolder, subscriberControl };
}
