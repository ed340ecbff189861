import { Injectable } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { failpoint } from '../engine/failpoints.js';
import { Engine, type Workflow, type WorkflowContext } from '../engine/engine.js';
import { StatementJournal } from '../changes/statement-journal.js';
import { Operations } from '../operations/operations.js';
import { Problem } from '../problems/problem.js';
import { AuditService } from '../security/audit.service.js';
import { ServersService } from '../servers/servers.service.js';
import { formatLsn } from '../shared/lsn.js';
import { TablesNeedingVerification } from '../subscriptions/tables-needing-verification.repository.js';
import type { VerificationProgress } from './at-rest/link-verification.js';
import { hasSlot, whoEnds } from './at-rest/link-ends.js';
import { paced } from './at-rest/pacing.js';
import { KeyMoves } from './at-rest/key-moves.js';
import { readSubscription } from './at-rest/read-shapes.js';
import { type ChunkedVerification, verifyLink } from './at-rest/verify-link.js';
import { dropLinkObjects, publisherSlotName, readerIdOf, type LinkEnds } from './link/link-objects.js';
import { LinkReaders } from './link/link-readers.js';
import { BesideRowsService } from './beside-rows.service.js';
import { progressOf } from './progress.js';
import { VerificationChunks } from './verification-chunks.repository.js';
import { type ListedVerification, VerificationRepository } from './verification.repository.js';

/** For creating the slots, which wait for every transaction that is running, and for connecting. */
const OPEN_DEADLINE_MS = 120_000;
/** How long a server that is away is waited for before our slot is reported as left behind. */
const REMOVAL_DEADLINE_MS = 300_000;
const REMOVAL_RETRY_MS = 5_000;

type Outcome = { verdict: string; verifiedLsn: string | null };

/** Carries out a verification at rest: compares, stores the outcome, and leaves nothing of ours on either server. */
@Injectable()
export class AtRestWorkflow implements Workflow<Record<string, never>> {
  readonly name = 'verification-at-rest';

  constructor(
    engine: Engine,
    private readonly operations: Operations,
    private readonly repository: VerificationRepository,
    private readonly chunks: VerificationChunks,
    private readonly besideRows: BesideRowsService,
    private readonly servers: ServersService,
    private readonly audit: AuditService,
    private readonly needs: TablesNeedingVerification,
  ) {
    engine.register(this);
  }

  async run(context: WorkflowContext): Promise<void> {
    const id = context.operationId;
    let outcome: Outcome;
    try {
      outcome = await context.step('compare', () => this.compare(id, context.signal));
    } finally {
      await context.cleanup('remove-readers', () => this.removeReaders(id));
    }
    await context.cleanup('succeed', () => this.operations.succeed(id, outcome));
  }

  private async compare(id: string, signal: AbortSignal): Promise<Outcome> {
    const verification = await this.get(id);
    // Stored by a process that died before the step was recorded.
    if (verification.verdict !== null) {
      await this.endNeeds(verification, null);
      return outcomeOf(verification);
    }
    await this.repository.begin(id);
    const started = Date.now();
    const journal = new StatementJournal();
    const moves = new KeyMoves();
    let opened: LinkReaders | null = null;
    const isChunked = !verification.singleLsn && verification.pacing !== null;
    const linkEnds = await this.ends(verification, journal);
    // What moved since is told by no other slot than the one that was there.
    const goesOn = isChunked && (await hasSlot(linkEnds.publisher, publisherSlotName(linkEnds.readerId)));
    const readers = await LinkReaders.open({
      ...linkEnds,
      subscription: verification.subscription,
      // What moved between chunks is needed until it is stored.
      confirm: isChunked ? 'by-caller' : 'as-read',
      onPublisherTransaction: (transaction) => {
        moves.record(transaction);
        if (isChunked && !moves.wanted) opened?.confirm(transaction.endLsn);
      },
      deadlineMs: OPEN_DEADLINE_MS,
      signal,
    }).catch(async (error: unknown) => {
      await this.account(id, 'prepare', 'failed', journal);
      throw error;
    });
    opened = readers;
    try {
      await this.account(id, 'prepare', 'succeeded', journal);
      await failpoint('verification.opened');
      const chunked = await this.chunked(verification, readers, { goesOn, signal });
      // Of what an earlier process has compared nothing is known but that it is done.
      let bytesBefore: number | null = null;
      const result = await verifyLink({
        readers,
        tables: verification.tables,
        maxParallel: verification.maxParallel,
        signal,
        moves,
        ...(chunked ? { chunked } : {}),
        onProgress: (progress) =>
          this.progress(id, progress, { started, bytesBefore: (bytesBefore ??= progress.bytesDone) }),
      });
      const besideRows = await this.besideRows.of(
        {
          server: verification.subscriberServer,
          database: verification.subscriberDatabase,
          subscription: verification.subscription,
        },
        verification.tables,
      );
      await this.repository.finish(id, result, { listed: chunked !== null, besideRows });
      await failpoint('verification.stored');
      await this.endNeeds(verification, readers.subscription.oid);
      const { verdict, verifiedLsn } = result;
      return { verdict, verifiedLsn: verifiedLsn === null ? null : formatLsn(verifiedLsn) };
    } finally {
      await readers.close();
    }
  }

  /** Null: all at one LSN. */
  private async chunked(
    { id, pacing, singleLsn }: ListedVerification,
    readers: LinkReaders,
    { goesOn, signal }: { goesOn: boolean; signal: AbortSignal },
  ): Promise<ChunkedVerification | null> {
    if (singleLsn || pacing === null) return null;
    const { publisher, subscriber } = readers.ends;
    const slot = readers.subscription.slotName!;
    return {
      mostRows: pacing.mostRows,
      chunkMs: pacing.chunkSeconds * 1000,
      earlier: await this.chunks.earlier(id, await whoEnds(readers.ends, readers.subscription.oid), goesOn),
      onResumed: (rows) => this.chunks.resumed(id, rows),
      keep: async (progress, method, position) => {
        await this.chunks.keep(id, progress, method);
        readers.confirm(position);
        await failpoint('verification.chunk');
      },
      pause: (meanwhile) =>
        paced({ publisher, subscriber, slot }, pacing, {
          ...{ signal, meanwhile },
          onWait: async (reason) => {
            await this.chunks.waitsFor(id, reason);
            const { progress } = await this.get(id);
            if (reason === null || progress === null) return;
            const { percent } = progressOf(progress, Date.now());
            await this.operations.progress(id, { percent, message: `waits for ${reason}`, etaSeconds: null });
          },
        }),
    };
  }

  /** Tables that were shown equal need no verification any more. Repeated after a crash, when `oid` is looked up again. */
  private async endNeeds(verification: ListedVerification, oid: number | null): Promise<void> {
    const { id, subscriberServer: server, subscriberDatabase: database, subscription, createdAtText } = verification;
    const equal = (await this.repository.tables(id)).flatMap(({ schema, name, verdict, verifiedLsn }) =>
      verdict === 'equal' && verifiedLsn !== null ? [{ schema, name, verifiedLsn }] : [],
    );
    if (equal.length === 0) return;
    // A subscriber that is away or changed keeps the need: it is ended by the next verification.
    const found = oid ?? (await this.subscriptionOid(server, database, subscription));
    if (found !== null) await this.needs.clear({ server, database, oid: found }, equal, createdAtText);
  }

  private async subscriptionOid(server: string, database: string, name: string): Promise<number | null> {
    try {
      return (await this.servers.withSession(server, database, (session) => readSubscription(session, name))).oid;
    } catch (error) {
      if (error instanceof Problem && error.code !== 'INTERNAL') return null;
      throw error;
    }
  }

  private async progress(
    id: string,
    progress: VerificationProgress,
    { started, bytesBefore }: { started: number; bytesBefore: number },
  ): Promise<void> {
    await this.repository.setProgress(id, progress);
    const { percent, etaSeconds } = progressOf(progress, started, bytesBefore);
    const message = `compared ${progress.rowsDone} of about ${progress.rowsTotal} rows`;
    await this.operations.progress(id, { percent, message, etaSeconds });
  }

  /** A server that is away is waited for: a slot left behind would keep its WAL for ever. */
  private async removeReaders(id: string): Promise<void> {
    await this.chunks.forget(id);
    const verification = await this.get(id);
    const journal = new StatementJournal();
    for (const deadline = Date.now() + REMOVAL_DEADLINE_MS; ;) {
      try {
        await dropLinkObjects(await this.ends(verification, journal));
        return await this.account(id, 'remove', 'succeeded', journal);
      } catch (error) {
        await this.account(id, 'remove', 'failed', journal);
        if (!(error instanceof Problem) || !error.retryable || Date.now() > deadline) throw error;
        await delay(REMOVAL_RETRY_MS);
      }
    }
  }

  private async get(id: string): Promise<ListedVerification> {
    const verification = await this.repository.find(id);
    if (!verification) throw new Problem('NOT_FOUND', `there is no verification ${id}`);
    return verification;
  }

  /** Leaves an audit event with what was changed on the servers; none when nothing was. */
  private async account(
    id: string,
    action: 'prepare' | 'remove',
    outcome: 'succeeded' | 'failed',
    journal: StatementJournal,
  ): Promise<void> {
    const sql = journal.take();
    if (sql.length === 0) return;
    const subject = `verifications/${id}`;
    await this.audit.record({
      action: `verifications.${action}`,
      subject,
      outcome,
      sql,
      actor: `operation ${id}`,
    });
  }

  /** Statements to either side are noted in the journal. */
  private async ends(verification: ListedVerification, journal: StatementJournal): Promise<LinkEnds> {
    const { id, publisherServer, publisherDatabase, subscriberServer, subscriberDatabase } = verification;
    return {
      readerId: readerIdOf(id),
      publisher: {
        ...(await this.servers.target(publisherServer, publisherDatabase)),
        onStatement: (sql) => journal.note('publisher', sql),
      },
      subscriber: {
        ...(await this.servers.target(subscriberServer, subscriberDatabase)),
        onStatement: (sql) => journal.note('subscriber', sql),
      },
    };
  }
}

function outcomeOf({ verdict, verifiedLsn }: ListedVerification): Outcome {
  return { verdict: verdict!, verifiedLsn };
}
