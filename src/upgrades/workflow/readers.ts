import { randomUUID } from 'node:crypto';
import { readReplicationSlots } from '../../postgres/catalog/replication-slots.js';
import type { BoundPair } from '../../postgres/replication/bound-pair.js';
import type { StreamedTransaction } from '../../postgres/replication/streamed-transaction.js';
import { withSession } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { formatLsn, type Lsn, parseLsn } from '../../shared/lsn.js';
import type { Difference } from '../../verification/at-rest/difference.js';
import type { LinkVerification } from '../../verification/at-rest/link-verification.js';
import { readLinkTables, readSubscription } from '../../verification/at-rest/read-shapes.js';
import { verifyLink } from '../../verification/at-rest/verify-link.js';
import { compareTouched } from '../../verification/final-check/compare-touched.js';
import { TouchedKeys } from '../../verification/final-check/touched-keys.js';
import { dropLinkObjects, publisherSlotName, subscriberSlotName } from '../../verification/link/link-objects.js';
import { LinkReaders } from '../../verification/link/link-readers.js';
import { flushedNow } from '../../postgres/flushed-now.js';
import type { Side, StepContext } from './step.js';

/** More touched keys than this make the final check slow: verify again before the fence instead. */
const MANY_KEYS = 50_000;
/** Transactions remembered for the fence's proof; inside a fence that holds there is one, our marker. */
const REMEMBERED = 10_000;
const BIND_DEADLINE_MS = 60_000;

/** A link of an upgrade: `forward` brings the source's changes to the target, `back` the target's to the source. */
export type Direction = 'forward' | 'back';

/** Where each link's standing is kept, so that any process can go on from there. */
const FACTS = {
  forward: { opened: 'readersOpened', verifiedLsn: 'verifiedLsn', verdict: 'verdict' },
  back: { opened: 'backReadersOpened', verifiedLsn: 'backVerifiedLsn', verdict: 'backVerdict' },
} as const;

export interface ForeignChange {
  schema: string;
  table: string;
  lsn: string;
}

/**
 * The change streams of one link while an upgrade, or its rollback, runs. They begin before the first verification and
 * never stop: after a crash the slots give everything since the last verified LSN again.
 */
export class Readers {
  private readonly recent: { endLsn: Lsn; tables: { schema: string; name: string }[] }[] = [];
  /** Writes on the subscriber that did not come through the subscription, by their transaction's xid, since verified. */
  private readonly localWrites = new Map<number, ForeignChange[]>();

  private constructor(
    private readonly context: StepContext,
    private readonly direction: Direction,
    private readonly touched: TouchedKeys,
    private readonly origin: string,
  ) {}

  private link!: LinkReaders;

  static async open(context: StepContext, direction: Direction, signal: AbortSignal): Promise<Readers> {
    const ends = await endsOf(context, direction);
    const subscriptionName = direction === 'forward' ? context.names.subscription : context.names.backSubscription;
    await forgetVerificationWithoutSlot(context, direction);
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
    return this.link.failed;
  }

  get needsVerification(): boolean {
    if (this.verdict !== 'equal' || this.localWrites.size > 0) return true;
    return this.touched.overflow !== null || this.touched.size > MANY_KEYS;
  }

  /** Verdict of the link's last verification; undefined when there is none to build on. */
  get verdict(): string | undefined {
    return this.context.facts[FACTS[this.direction].verdict];
  }

  /** WAL the publisher keeps for what was written since the verified LSN, in bytes; null when that is not known. */
  async walKept(): Promise<number | null> {
    const session = await this.context.act(publisherOf(this.direction));
    const [slot] = await readReplicationSlots(session, publisherSlotName(readerId(this.context, this.direction)));
    return slot?.retainedBytes ?? null;
  }

  /** Compares everything in one bound pair. Records verdict and LSN before either slot may forget anything. */
  async verify(context: StepContext, signal = context.signal): Promise<Record<string, unknown>> {
    const id = randomUUID();
    const started = Date.now();
    let firstBound: BoundPair | null = null as BoundPair | null;
    await context.beginVerification(id, this.direction);
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
      for (const xid of this.localWrites.keys()) if (firstBound.subscriberSees(xid)) this.localWrites.delete(xid);
    }
    const verifiedLsn = result.verifiedLsn === null ? null : formatLsn(result.verifiedLsn);
    const facts = FACTS[this.direction];
    const rows = result.tables.reduce((sum, table) => sum + (table.rows ?? 0), 0);
    await context.record({
      rows,
      [facts.verdict]: result.verdict,
      // Only equality is something a later check may build on.
      ...(verifiedLsn !== null && result.verdict === 'equal' ? { [facts.verifiedLsn]: verifiedLsn } : {}),
    });
    await context.storeVerification(id, result);
    if (result.verdict === 'equal' && result.verifiedLsn !== null) {
      this.touched.reset(result.verifiedLsn);
      this.link.confirm(result.verifiedLsn);
    } else if (context.request.verification.required) {
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
      .flatMap(({ endLsn, tables }) =>
        tables.map(({ schema, name }) => ({ schema, table: name, lsn: formatLsn(endLsn) })),
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
    const result = await compareTouched({
      readers: this.link,
      touched: this.touched,
      bindDeadlineMs: Math.min(BIND_DEADLINE_MS, this.context.request.deadlines.drainMs),
      signal,
    });
    // Whatever is wrong, another attempt has to begin with a verification.
    const isLocal = this.localWrites.size > 0;
    if (isLocal || result.verdict !== 'equal') await this.context.forget(FACTS[this.direction].verdict);
    if (isLocal) {
      const local = [...this.localWrites.values()].flat();
      const where = local.slice(0, 5).map(({ schema, table, lsn }) => `${schema}.${table} at ${lsn}`);
      throw new Problem(
        'CONFLICT',
        `somebody wrote on the ${subscriberOf(this.direction)}: ${where.join(', ') || 'very much'}`,
        {
          hint: 'Find out who (a superuser, a trigger, a job), undo it, then try once more: it begins with a verification.',
          extra: { localWrites: local.slice(0, 100) },
        },
      );
    }
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

  private published(transaction: StreamedTransaction): void {
    this.touched.record(transaction);
    const tables = transaction.changes.flatMap((change) =>
      change.kind === 'truncate' ? change.relations : [change.relation],
    );
    if (tables.length === 0 && !transaction.overflow) return;
    const distinct = [...new Map(tables.map((table) => [table.oid, table])).values()];
    this.recent.push({ endLsn: transaction.endLsn, tables: distinct });
    if (this.recent.length > REMEMBERED) this.recent.shift();
  }

  private applied(transaction: StreamedTransaction): void {
    this.touched.recordApplied(transaction);
    const origin = transaction.origin?.name ?? null;
    // Tablesync workers have origins of their own, `pg_<subscription>_<table>`.
    if (origin === this.origin || origin?.startsWith(`${this.origin}_`)) return;
    const lsn = formatLsn(transaction.endLsn);
    const tables = new Map<number, ForeignChange>();
    for (const change of transaction.changes) {
      const relations = change.kind === 'truncate' ? change.relations : [change.relation];
      for (const { oid, schema, name } of relations) tables.set(oid, { schema, table: name, lsn });
    }
    if (tables.size > 0 || transaction.overflow) this.localWrites.set(transaction.xid, [...tables.values()]);
  }
}

/** As JSON, without values: rows do not belong into problems and logs; the verification lists them. */
function presented({ schema, table, kind, key, publisherLsn }: Difference): Record<string, unknown> {
  return { schema, table, kind, key, publisherLsn: formatLsn(publisherLsn) };
}

function publisherOf(direction: Direction): Side {
  return direction === 'forward' ? 'source' : 'target';
}

function subscriberOf(direction: Direction): Side {
  return direction === 'forward' ? 'target' : 'source';
}

function readerId({ names }: StepContext, direction: Direction): string {
  return direction === 'forward' ? names.readers : names.backReaders;
}

async function endsOf(context: StepContext, direction: Direction) {
  return {
    readerId: readerId(context, direction),
    publisher: await context.connection(publisherOf(direction)),
    subscriber: await context.connection(subscriberOf(direction)),
  };
}

/**
 * A slot that vanished takes with it what was touched since the verified LSN on the publisher, or written by others on
 * the subscriber: then only a new verification counts.
 */
async function forgetVerificationWithoutSlot(context: StepContext, direction: Direction): Promise<void> {
  if (!context.facts[FACTS[direction].opened]) return;
  const id = readerId(context, direction);
  const lost: Side[] = [];
  for (const [side, name] of [
    [publisherOf(direction), publisherSlotName(id)],
    [subscriberOf(direction), subscriberSlotName(id)],
  ] as const) {
    const [slot] = await readReplicationSlots(await context.act(side), name);
    if (!slot || slot.walStatus === 'lost') lost.push(side);
  }
  if (lost.length === 0) return;
  await context.event('verification-lost', {
    reason: `the verification slot on the ${lost.join(' and the ')} is gone`,
  });
  // Forgotten before the slots are made again: after a crash in between, slots that are there would speak for it.
  await context.forget(FACTS[direction].verifiedLsn, FACTS[direction].verdict);
  await dropLinkObjects(await endsOf(context, direction));
}

function notEqual(result: LinkVerification): Problem {
  const tables = result.tables.filter(({ verdict }) => verdict !== 'equal');
  const named = tables.slice(0, 10).map(({ schema, name, verdict, reason }) => {
    return `${schema}.${name} ${verdict}${reason ? ` (${reason})` : ''}`;
  });
  return new Problem('CONFLICT', `the verification says ${result.verdict}: ${named.join('; ') || result.reason}`, {
    hint: 'Look at the differences, repair them, then try the same again: it begins with another verification.',
    extra: {
      differences: result.differences.slice(0, 50).map(presented),
    },
  });
}
