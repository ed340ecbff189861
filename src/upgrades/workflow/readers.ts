import { randomUUID } from 'node:crypto';
import { failpoint } from '../../engine/failpoints.js';
import { SLOT_LAG } from '../../postgres/catalog/upgrade.sql.js';
import type { BoundPair } from '../../postgres/replication/bound-pair.js';
import type { StreamedTransaction } from '../../postgres/replication/streamed-transaction.js';
import { withSession } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { formatLsn, type Lsn, parseLsn } from '../../shared/lsn.js';
import { readLinkTables, readSubscription } from '../../verification/at-rest/read-shapes.js';
import { verifyLink } from '../../verification/at-rest/verify-link.js';
import { compareTouched, type TouchedVerification } from '../../verification/final-check/compare-touched.js';
import { TouchedKeys } from '../../verification/final-check/touched-keys.js';
import { dropLinkObjects, publisherSlotName } from '../../verification/link/link-objects.js';
import { LinkReaders } from '../../verification/link/link-readers.js';
import { flushedNow } from '../../postgres/flushed-now.js';
import { type Direction, FACTS, publisherOf, type Side, subscriberOf } from './direction.js';
import { changesOf, type ForeignChange, LocalWrites } from './local-writes.js';
import { differing, notEqual, presented, REWRITTEN, rewrittenSince, writtenLocally } from './reader-problems.js';
import { endsOf, forgetVerificationWithoutSlot, readerId } from './reader-slots.js';
import { rowStorage } from './row-storage.js';
import { leaveOtherTimeline, onlyVerifiedAnew, onOtherTimeline, timelines } from './timelines.js';
import type { StepContext } from './step.js';

/** More touched keys than this make the final check slow: they are compared before the fence instead. */
const MANY_KEYS = 50_000;
/** So few that comparing them ahead saves nothing. */
const FEW_KEYS = 1_000;
/** Transactions remembered for the fence's proof; inside a fence that holds there is one, our marker. */
const REMEMBERED = 10_000;
const BIND_DEADLINE_MS = 60_000;

/** Why the verified LSN could not be brought forward. */
interface Obstacle {
  /** The subscription does not apply; else it was too busy. */
  stalled: boolean;
  reason: string;
}

/**
 * The change streams of one link while an upgrade, or its rollback, runs. They begin before the first verification and
 * never stop: after a crash the slots give everything since the last verified LSN again.
 */
export class Readers {
  private readonly recent: { endLsn: Lsn; changes: ForeignChange[]; overflow: boolean }[] = [];
  private readonly localWrites = new LocalWrites();

  private constructor(
    private readonly context: StepContext,
    private readonly direction: Direction,
    private readonly touched: TouchedKeys,
    private readonly origin: string,
  ) {}

  private link!: LinkReaders;
  private overtaken: Problem | null = null;

  static async open(context: StepContext, direction: Direction, signal: AbortSignal): Promise<Readers> {
    const ends = await endsOf(context, direction);
    const subscriptionName = direction === 'forward' ? context.names.subscription : context.names.backSubscription;
    await forgetVerificationWithoutSlot(context, direction);
    await leaveOtherTimeline(context, direction, ends);
    const { shapes, oid } = await withSession(ends.publisher, { purpose: 'upgrade' }, (publisher) =>
      withSession(ends.subscriber, { purpose: 'upgrade' }, async (subscriber) => {
        const subscription = await readSubscription(subscriber, subscriptionName);
        const tables = await readLinkTables(publisher, subscriber, subscription);
        return { shapes: tables.comparable, oid: subscription.oid };
      }),
    );
    const touched = new TouchedKeys(shapes, `pg_${oid}`);
    // The two slots give again from different places; what lies at or below the verified LSN counts on neither side.
    const verified = context.facts[FACTS[direction].verifiedLsn];
    if (verified !== undefined) touched.reset(parseLsn(verified));
    const readers = new Readers(context, direction, touched, `pg_${oid}`);
    readers.link = await LinkReaders.open({
      ...ends,
      subscription: subscriptionName,
      // Without it nobody would see what is written on the subscriber besides, and no verdict would hold.
      needsSubscriberStream: true,
      confirm: 'by-caller',
      deadlineMs: context.request.deadlines.slotMs,
      signal,
      onPublisherTransaction: (transaction) => readers.published(transaction),
      onSubscriberTransaction: (transaction) => readers.applied(transaction),
    });
    await context.record({ [FACTS[direction].opened]: true });
    return readers;
  }

  /** Removes slots and publications of the readers from both servers, also those of an earlier process. */
  static async drop(context: StepContext, direction: Direction): Promise<Record<string, unknown> | null> {
    const id = readerId(context, direction);
    const end = async (side: Side) => (context.isLeft(side) ? null : await context.connection(side));
    await dropLinkObjects({
      readerId: id,
      publisher: await end(publisherOf(direction)),
      subscriber: await end(subscriberOf(direction)),
    });
    await context.forget(...Object.values(FACTS[direction]));
    return { dropped: id };
  }

  /** Why a stream ended for good; null while both live. */
  get failed(): Problem | null {
    return this.link.failed ?? this.overtaken;
  }

  /** Whether nothing can be built on the last verification, so that everything has to be compared again. */
  get needsVerification(): boolean {
    if (this.isAccepted) return false;
    return this.verdict !== 'equal' || this.localWrites.size > 0 || this.touched.overflow !== null;
  }

  /** Whether comparing what was touched since the verified LSN proves both sides equal. */
  private get isCarried(): boolean {
    return this.verdict === 'equal' && !this.needsVerification;
  }

  /** Whether the last verification settled that the sides are not equal, and that was not to matter. */
  get isAccepted(): boolean {
    const settled = this.verdict === 'different' || this.verdict === 'not-comparable';
    return settled && !this.context.request.verification.required;
  }

  /** Whether so much was touched since the verified LSN that a final check would be slow. */
  get isFarBehind(): boolean {
    return this.touched.size > MANY_KEYS;
  }

  /** All that says whether a verification is needed: while it stays the same, another one has nothing new to find. */
  get standing(): string {
    return JSON.stringify([this.verdict ?? null, this.touched.overflow, this.localWrites.size]);
  }

  /** Verdict of the link's last verification; undefined when there is none to build on. */
  get verdict(): string | undefined {
    return this.context.facts[FACTS[this.direction].verdict];
  }

  /**
   * WAL of the publisher since the verified LSN, in bytes; null when that is not known. Not what its slot keeps: that may
   * be more, for a long transaction's sake, whatever is confirmed.
   */
  async walSinceVerified(): Promise<number | null> {
    const session = await this.context.act(publisherOf(this.direction));
    const slot = publisherSlotName(readerId(this.context, this.direction));
    const [row] = await session.rows<{ bytes: string | null }>(SLOT_LAG, [slot]);
    return typeof row?.bytes === 'string' ? Number(row.bytes) : null;
  }

  /** Lets the servers forget what was written so far. Only where nothing is built on the last verification. */
  letGo(): void {
    const { publisherPosition } = this.link;
    this.touched.reset(publisherPosition);
    this.link.confirm(publisherPosition);
  }

  /** Compares everything in one bound pair. Records verdict and LSN before either slot may forget anything. */
  async verify(context: StepContext, signal = context.signal): Promise<Record<string, unknown>> {
    const id = randomUUID();
    const started = Date.now();
    let firstBound: BoundPair | null = null as BoundPair | null;
    if (this.overtaken) throw this.overtaken;
    // Before the snapshots: what is rewritten from here on shows, whether they see it or not.
    const storage = await rowStorage(this.context, this.direction);
    const onTimelines = await timelines(this.context);
    await context.beginVerification(id, this.direction);
    await failpoint('upgrade.verifying');
    const result = await verifyLink({
      readers: this.link,
      tables: null,
      maxParallel: context.request.verification.maxParallel,
      signal,
      onBound: (pair) => (firstBound ??= pair),
      onProgress: (progress) => context.verificationProgress(id, progress),
    }).catch(async (error: unknown) => {
      await context.abandonVerification(id, error instanceof Problem ? error.detail : 'it was interrupted');
      throw error;
    });
    // What the first snapshot saw has been compared, and delivered by now; what came later has not.
    if (firstBound) {
      const bound = firstBound;
      this.localWrites.forget((xid) => bound.subscriberSees(xid));
    }
    const verifiedLsn = result.verifiedLsn === null ? null : formatLsn(result.verifiedLsn);
    const facts = FACTS[this.direction];
    const rows = result.tables.reduce((sum, table) => sum + (table.rows ?? 0), 0);
    // First, so that whatever is built on it can be looked at.
    await context.storeVerification(id, result);
    await context.record({
      rows,
      [facts.verdict]: result.verdict,
      [facts.storage]: storage,
      [facts.timelines]: onTimelines,
      // Only equality is something a later check may build on.
      ...(verifiedLsn !== null && result.verdict === 'equal' ? { [facts.verifiedLsn]: verifiedLsn } : {}),
    });
    if (result.verdict === 'equal' && result.verifiedLsn !== null) this.settle(result.verifiedLsn);
    else if (context.request.verification.required) {
      throw notEqual(result);
    }
    return {
      id,
      verdict: result.verdict,
      verifiedLsn,
      method: result.method,
      tables: result.tables.length,
      rows,
      ms: Date.now() - started,
    };
  }

  /**
   * Forgets the verdict where a table was rewritten, made anew, or detached for a while since it was verified: such
   * changes are in no stream. Answers whether it did.
   */
  async forgetIfRewritten(): Promise<boolean> {
    if (this.verdict !== 'equal') return false;
    if (await onOtherTimeline(this.context, this.direction)) {
      // What these streams gave, and skipped, may be of the one that was left: others take their place, and tell of it.
      this.overtaken = onlyVerifiedAnew();
    } else {
      if ((await rowStorage(this.context, this.direction)) === this.context.facts[FACTS[this.direction].storage])
        return false;
      await this.context.event('verification-lost', { reason: REWRITTEN });
    }
    await this.context.forget(FACTS[this.direction].verdict);
    return true;
  }

  /**
   * Brings the verified LSN forward by comparing what was touched since, over and over while that leaves fewer rows and
   * still more than a few: it costs those rows only, and what is touched meanwhile is less each time. Nothing happens
   * where a verification of everything is needed. Answers why it could not be brought forward; null when it was, or need
   * not be. Rejects when rows differ.
   */
  async advance(signal: AbortSignal): Promise<Obstacle | null> {
    for (let before = Infinity; this.touched.size < before && this.isCarried;) {
      if (this.failed) throw this.failed;
      before = this.touched.size;
      const { verdict, verifiedLsn, reason, differences } = await this.compareTouched(signal);
      // They are for a verification of everything, which is needed now, to judge.
      if (this.localWrites.size > 0) return null;
      if (verdict === 'different') {
        await this.context.forget(FACTS[this.direction].verdict);
        throw differing(differences.map(presented));
      }
      if (verdict !== 'equal' || verifiedLsn === null)
        return { stalled: verdict === 'stalled', reason: reason ?? verdict };
      // Recorded before either slot may forget anything.
      await this.context.record({ [FACTS[this.direction].verifiedLsn]: formatLsn(verifiedLsn) });
      this.settle(verifiedLsn);
      if (this.touched.size <= FEW_KEYS) return null;
    }
    return null;
  }

  /**
   * Refuses a fence inside which the final check could only fail, or take long.
   *
   * @param obstacle why the verified LSN could not be brought forward
   */
  refuseFutileFence(obstacle: Obstacle | null): void {
    if (this.failed) throw this.failed;
    if (this.verdict !== 'equal') return;
    const again = 'Try again when less is written: it begins with whatever has to be compared once more.';
    if (this.localWrites.size > 0) throw writtenLocally(subscriberOf(this.direction), this.localWrites.changes());
    if (this.touched.overflow !== null) {
      throw new Problem('CONFLICT', `the verification does not carry any more: ${this.touched.overflow}`, {
        hint: `${again} Everything then; and the same must not happen while that runs, so hold back TRUNCATE and DDL meanwhile.`,
      });
    }
    // A link that is only busy may well be faster once nobody writes; one that stands still would be waited for.
    if (obstacle?.stalled) {
      throw new Problem('CONFLICT', `what was written since the verification does not arrive: ${obstacle.reason}`, {
        hint: 'The subscriber’s log says why. Nobody was stopped; try again once the subscription applies.',
        retryable: true,
      });
    }
    if (this.touched.size > MANY_KEYS) {
      const why = obstacle?.reason ?? 'as many are written while they are compared';
      throw new Problem(
        'CONFLICT',
        `${this.touched.size} rows would have to be compared while nobody can write: ${why}`,
        { hint: again },
      );
    }
  }

  /** Waits until both streams have given everything committed before the call. */
  async catchUp(timeoutMs: number): Promise<void> {
    const patience = { timeoutMs, signal: this.context.signal };
    const [publisher, subscriber] = await Promise.all(
      [publisherOf(this.direction), subscriberOf(this.direction)].map(async (side) =>
        flushedNow(await this.context.act(side)),
      ),
    );
    await Promise.all([
      this.link.waitForPublisher(parseLsn(publisher!), patience),
      this.link.waitForSubscriber(parseLsn(subscriber!), patience),
    ]);
  }

  /** Changes of the publisher committed after `fence`; waits until the stream has passed `upTo`. */
  async changesAfter(fence: Lsn, upTo: Lsn, timeoutMs: number): Promise<ForeignChange[]> {
    await this.link.waitForPublisher(upTo, { timeoutMs, signal: this.context.signal });
    return this.recent
      .filter(({ endLsn }) => endLsn > fence)
      .flatMap(({ endLsn, changes, overflow }) =>
        overflow ? [...changes, { schema: null, table: null, lsn: formatLsn(endLsn) }] : changes,
      );
  }

  /** Compares what was touched since the verified LSN; with the verification before, that proves both sides equal. */
  async checkTouched(
    signal: AbortSignal,
  ): Promise<{ keys: number; verifiedLsn: string; differences: Record<string, unknown>[] }> {
    if (this.failed) throw this.failed;
    if (this.verdict !== 'equal') {
      throw new Problem('CONFLICT', 'there is no verification to build the final check on; verify again');
    }
    const [result, rewritten] = await Promise.all([this.compareTouched(signal), this.forgetIfRewritten()]);
    // Whatever is wrong, another attempt has to begin with a verification.
    const isLocal = this.localWrites.size > 0;
    if (isLocal || result.verdict !== 'equal') await this.context.forget(FACTS[this.direction].verdict);
    if (isLocal) throw writtenLocally(subscriberOf(this.direction), this.localWrites.changes());
    if (rewritten) throw this.overtaken ?? rewrittenSince();
    if (result.verdict === 'different')
      return { keys: result.keys, verifiedLsn: '', differences: result.differences.map(presented) };
    if (result.verdict !== 'equal' || result.verifiedLsn === null) {
      throw new Problem('CONFLICT', `the final check is ${result.verdict}: ${result.reason ?? 'no reason given'}`, {
        hint: 'Try again: it begins with another verification then.',
        retryable: true,
      });
    }
    return { keys: result.keys, verifiedLsn: formatLsn(result.verifiedLsn), differences: [] };
  }

  async close(): Promise<void> {
    await this.link.close();
  }

  private compareTouched(signal: AbortSignal): Promise<TouchedVerification> {
    return compareTouched({
      readers: this.link,
      touched: this.touched,
      bindDeadlineMs: Math.min(BIND_DEADLINE_MS, this.context.request.deadlines.drainMs),
      signal,
    });
  }

  /** Both sides were shown equal there, and that is recorded. */
  private settle(verifiedLsn: Lsn): void {
    this.touched.reset(verifiedLsn);
    // What others wrote on the subscriber has to come again after a crash until it was compared; the publisher, whose
    // disk is production's, keeps nothing for that.
    if (this.localWrites.size === 0) this.link.confirm(verifiedLsn);
    else this.link.confirmPublisher(verifiedLsn);
  }

  private published(transaction: StreamedTransaction): void {
    this.touched.record(transaction);
    const changes = changesOf(transaction);
    if (changes.length === 0 && !transaction.overflow) return;
    this.recent.push({ endLsn: transaction.endLsn, changes, overflow: transaction.overflow });
    if (this.recent.length > REMEMBERED) this.recent.shift();
  }

  private applied(transaction: StreamedTransaction): void {
    this.touched.recordApplied(transaction);
    const origin = transaction.origin?.name ?? null;
    // Tablesync workers have origins of their own, `pg_<subscription>_<table>`.
    if (origin === this.origin || origin?.startsWith(`${this.origin}_`)) return;
    const changes = changesOf(transaction);
    if (changes.length > 0 || transaction.overflow) this.localWrites.add(transaction.xid, changes);
  }
}
