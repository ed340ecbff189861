import { bindPair } from '../../postgres/replication/bind.js';
import { BindSessionPool } from '../../postgres/replication/bind-sessions.js';
import type { BoundPair } from '../../postgres/replication/bound-pair.js';
import { ChangeStream } from '../../postgres/replication/change-stream.js';
import { holdTable, type TableHold, type TableHoldRequest } from '../../postgres/replication/table-hold.js';
import type { StreamedTransaction } from '../../postgres/replication/streamed-transaction.js';
import { withSession } from '../../postgres/session.js';
import * as sql from '../../postgres/catalog/published-tables.sql.js';
import { Problem } from '../../problems/problem.js';
import type { Lsn } from '../../shared/lsn.js';
import { readSubscription, type LinkSubscription } from '../at-rest/read-shapes.js';
import type { TableName } from '../at-rest/table-shape.js';
import {
  dropLinkObjects,
  preparePublisher,
  prepareSubscriber,
  publisherSlotName,
  subscriberSlotName,
  type LinkEnds,
} from './link-objects.js';
import { OriginPositions } from './origin-positions.js';

export interface OpenLinkReaders extends LinkEnds {
  /** Name of the subscription in the subscriber's database. */
  subscription: string;
  /**
   * `as-read`: transactions are forgotten by the servers once read. `by-caller`: they are kept, and come again after
   * a restart, until `confirm`.
   */
  confirm: 'as-read' | 'by-caller';
  /** Rejects where the subscriber cannot have a stream of its own, rather than binding by positions. */
  needsSubscriberStream?: boolean;
  /** For creating the slots (which wait for running transactions) and connecting, in milliseconds. */
  deadlineMs: number;
  signal?: AbortSignal;
  /** Given also what an earlier process of this id left unconfirmed. */
  onPublisherTransaction?: TransactionListener;
  /** As `onPublisherTransaction` for the subscriber's own stream; never called when there is none. */
  onSubscriberTransaction?: TransactionListener;
}

/** Given each transaction of a stream, in commit order; must not throw. */
export type TransactionListener = (transaction: StreamedTransaction) => void;

/**
 * The change streams of both ends of a link, on slots of our own. Opening finds what an earlier process of the same
 * id left and goes on from there; `close` keeps the slots, `drop` removes everything.
 */
export class LinkReaders {
  private readonly origins = new OriginPositions();
  private readonly bindSessions: BindSessionPool;
  private readonly publisherStream: ChangeStream;
  private readonly subscriberStream: ChangeStream | null;

  private constructor(
    private readonly request: OpenLinkReaders,
    readonly subscription: LinkSubscription,
    subscriberPublications: string[] | null,
    /** Why binding goes by positions; null when the subscriber has a stream of its own. */
    readonly positionsReason: string | null,
  ) {
    const { readerId, publisher, subscriber } = request;
    this.bindSessions = new BindSessionPool(publisher, subscriber);
    this.publisherStream = new ChangeStream({
      target: publisher,
      slotName: publisherSlotName(readerId),
      publications: subscription.publications,
      ...(subscription.origin === 'none' ? { origin: 'none' as const } : {}),
      onTransaction: (transaction) => this.publisherTransaction(transaction),
    });
    this.subscriberStream =
      subscriberPublications &&
      new ChangeStream({
        target: subscriber,
        slotName: subscriberSlotName(readerId),
        publications: subscriberPublications,
        onTransaction: (transaction) => this.subscriberTransaction(transaction),
      });
  }

  static async open(request: OpenLinkReaders): Promise<LinkReaders> {
    const { subscription, tables } = await withSession(
      request.subscriber,
      { purpose: 'verification' },
      async (session) => {
        const found = await readSubscription(session, request.subscription);
        return {
          subscription: found,
          tables: await session.rows<TableName & Record<string, unknown>>(sql.subscribedTablesSql(), [found.oid]),
        };
      },
    );
    if (subscription.slotName === null) {
      throw new Problem('PREREQUISITE_FAILED', `subscription "${subscription.name}" has no replication slot`, {
        hint: 'Give it a slot (ALTER SUBSCRIPTION ... SET (slot_name = ...)) and enable it.',
      });
    }
    await preparePublisher(request, request);
    const prepared = await prepareSubscriber(request, tables, request);
    const readers = new LinkReaders(
      request,
      subscription,
      prepared.publications,
      prepared.publications === null ? prepared.reason : null,
    );
    try {
      await Promise.all([
        readers.publisherStream.start({ deadlineMs: request.deadlineMs }),
        readers.subscriberStream?.start({ deadlineMs: request.deadlineMs }),
      ]);
      return readers;
    } catch (error) {
      await readers.close();
      throw error;
    }
  }

  get ends(): LinkEnds {
    return this.request;
  }

  /** Why a stream ended for good, so that nothing can be bound any more; null while both live. */
  get failed(): Problem | null {
    return this.publisherStream.failed ?? this.subscriberStream?.failed ?? null;
  }

  /** Whether the subscriber's own transactions are seen (else binding goes by positions). */
  get readsSubscriber(): boolean {
    return this.subscriberStream !== null;
  }

  /** Every publisher transaction whose commit record starts below this has been given to the listeners. */
  get publisherPosition(): Lsn {
    return this.publisherStream.position;
  }

  /** Resolves once the publisher's stream has passed `lsn`. */
  async waitForPublisher(lsn: Lsn, options: { timeoutMs: number; signal?: AbortSignal }): Promise<void> {
    await this.publisherStream.waitUntil(lsn, options);
  }

  /** As `waitForPublisher`, for the subscriber's own stream; at once when there is none. */
  async waitForSubscriber(lsn: Lsn, options: { timeoutMs: number; signal?: AbortSignal }): Promise<void> {
    await this.subscriberStream?.waitUntil(lsn, options);
  }

  /** A bound pair of snapshots with the tables locked in it; see `bindPair` for the rejections. */
  async bind(tables: readonly TableName[], options: { deadlineMs: number; signal?: AbortSignal }): Promise<BoundPair> {
    const { oid, name, slotName } = this.subscription;
    return bindPair({
      publisher: { stream: this.publisherStream },
      subscriber: { stream: this.subscriberStream },
      sessions: this.bindSessions,
      subscription: { oid, name, slotName: slotName! },
      tables,
      ...options,
    });
  }

  /** Holds one table of the subscriber against applying; see `holdTable` for the rejections. */
  async hold(
    table: TableName,
    options: Omit<TableHoldRequest, 'publisher' | 'subscriber' | 'subscription' | 'table'>,
  ): Promise<TableHold> {
    const { oid, name, slotName } = this.subscription;
    return holdTable({
      publisher: { target: this.request.publisher, stream: this.publisherStream },
      subscriber: this.request.subscriber,
      subscription: { oid, name, slotName: slotName! },
      table,
      ...options,
    });
  }

  /** Lets both servers forget publisher transactions up to `lsn` and what the subscriber made of them. */
  confirm(lsn: Lsn): void {
    this.confirmPublisher(lsn);
    const local = this.origins.localEndFor(lsn);
    if (local !== null) this.subscriberStream?.confirm(local);
  }

  /** The same for the publisher alone: the subscriber's own stream gives all again after it is opened anew. */
  confirmPublisher(lsn: Lsn): void {
    this.publisherStream.confirm(lsn);
  }

  /** Ends both streams; slots and publications stay. Never rejects. */
  async close(): Promise<void> {
    await Promise.all([this.publisherStream.close(), this.subscriberStream?.close(), this.bindSessions.close()]);
  }

  /** Ends both streams and removes our slots and publications. */
  async drop(): Promise<void> {
    await this.close();
    await dropLinkObjects(this.request);
  }

  private publisherTransaction(transaction: StreamedTransaction): void {
    this.request.onPublisherTransaction?.(transaction);
    if (this.request.confirm === 'as-read') this.publisherStream.confirm(transaction.endLsn);
  }

  private subscriberTransaction(transaction: StreamedTransaction): void {
    this.request.onSubscriberTransaction?.(transaction);
    if (this.request.confirm === 'as-read') this.subscriberStream!.confirm(transaction.endLsn);
    else this.origins.add(transaction, `pg_${this.subscription.oid}`);
  }
}
