import { Injectable } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { StatementJournal } from '../../changes/statement-journal.js';
import { Engine, type Workflow, type WorkflowContext } from '../../engine/engine.js';
import { failpoint } from '../../engine/failpoints.js';
import { LinksService } from '../../links/links.service.js';
import { Operations } from '../../operations/operations.js';
import { END_WRITERS } from '../../postgres/catalog/resync.sql.js';
import { variantFor } from '../../postgres/catalog/variant.js';
import { boundedAnswers } from '../../postgres/connection.js';
import { withSession } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { AuditService } from '../../security/audit.service.js';
import { ServersService } from '../../servers/servers.service.js';
import { formatLsn } from '../../shared/lsn.js';
import { tableId } from '../at-rest/table-shape.js';
import { currentTables, verifyLink } from '../at-rest/verify-link.js';
import { dropLinkObjects, type LinkEnds, readerIdOf } from '../link/link-objects.js';
import { LinkReaders } from '../link/link-readers.js';
import { type ListedVerification, VerificationRepository } from '../verification.repository.js';
import { keyInBothForms } from './judge-keys.js';
import { readRepairFacts, type RepairFacts } from './repair-facts.js';
import { repairLink } from './repair-link.js';
import { createOrigin, dropOrigin, originName, writerPurpose } from './repair-origin.js';
import { planLink } from './repair-plan.js';
import { type Repair, type RepairCounts, RepairRepository } from './repair.repository.js';
import { RowStatements } from './row-statements.js';

const OPEN_DEADLINE_MS = 120_000;
const REMOVAL_DEADLINE_MS = 300_000;
const REMOVAL_RETRY_MS = 5_000;
const LIMITS = { purpose: 'repair', ...boundedAnswers() };

type Outcome = RepairCounts & { remaining: number; verdict: string | null; verifiedLsn: string | null };

/**
 * Carries out a repair, or the plan of one. A difference has its outcome as soon as it is written; whatever a crash kept
 * from being recorded is judged again, and found right or still to be written.
 */
@Injectable()
export class RepairWorkflow implements Workflow<Record<string, never>> {
  readonly name = 'verification-repair';

  constructor(
    engine: Engine,
    private readonly operations: Operations,
    private readonly repository: RepairRepository,
    private readonly verifications: VerificationRepository,
    private readonly servers: ServersService,
    private readonly links: LinksService,
    private readonly audit: AuditService,
  ) {
    engine.register(this);
  }

  async run(context: WorkflowContext): Promise<void> {
    const id = context.operationId;
    try {
      await context.step('repair', () => this.repair(id, context.signal));
    } finally {
      await context.cleanup('remove-readers', () => this.removeReaders(id));
    }
    await context.cleanup('succeed', async () => this.operations.succeed(id, await this.outcome(id)));
  }

  private async repair(id: string, signal: AbortSignal): Promise<void> {
    const { repair, verification } = await this.get(id);
    const { pending, repaired } = await this.repository.counts(id);
    if (pending + repaired === 0 || repair.verdict !== null) return;
    const journal = new StatementJournal();
    const rows = new RowStatements();
    const ends = await this.ends(id, verification, journal, rows);
    let outcome: 'succeeded' | 'failed' = 'failed';
    let readers: LinkReaders | null = null;
    try {
      await this.requireSamePublisher(verification);
      await this.endEarlierLife(id, ends);
      readers = await LinkReaders.open({
        ...{
          ...ends,
          subscription: verification.subscription,
          confirm: 'as-read',
          deadlineMs: OPEN_DEADLINE_MS,
          signal,
        },
      });
      await failpoint('repair.opened');
      const facts = await this.facts(repair, verification, ends);
      if (repair.mode === 'plan') await this.plan(id, readers, facts, signal);
      else await this.apply(id, ends, readers, facts, signal);
      outcome = 'succeeded';
    } finally {
      await readers?.close();
      await this.account(id, 'write', outcome, [...journal.take(), ...rows.told()], rows.counts());
    }
  }

  /** What it was compared with may be a server that nobody writes any more. */
  private async requireSamePublisher(verification: ListedVerification): Promise<void> {
    const { publisherServer, publisherDatabase, subscriberServer, subscriberDatabase, subscription } = verification;
    const { publisher } = await this.links.get(subscriberServer, subscriberDatabase, subscription);
    if (publisher?.server === publisherServer && publisher.database === publisherDatabase) return;
    throw new Problem('CONFLICT', `the subscription "${subscription}" no longer reads from ${publisherServer}`, {
      hint: 'Verify the link again, and repair what that finds.',
    });
  }

  private async facts(repair: Repair, { subscription }: ListedVerification, ends: LinkEnds): Promise<RepairFacts> {
    const tables = await this.repository.tables(repair.id);
    const facts = await withSession(ends.publisher, LIMITS, (publisher) =>
      withSession(ends.subscriber, LIMITS, (subscriber) =>
        readRepairFacts(publisher, subscriber, subscription, tables, repair.triggers),
      ),
    );
    await this.repository.setFacts(repair.id, facts);
    return facts;
  }

  private async plan(id: string, readers: LinkReaders, facts: RepairFacts, signal: AbortSignal): Promise<void> {
    await planLink({
      ...{ readers, facts, signal },
      itemsOf: (table) => this.repository.pending(id, table),
      onDone: (items) => this.repository.done(id, items),
    });
  }

  private async apply(
    id: string,
    ends: LinkEnds,
    readers: LinkReaders,
    facts: RepairFacts,
    signal: AbortSignal,
  ): Promise<void> {
    const origin = facts.marks ? originName(id) : null;
    const marked = origin !== null && (await createOrigin(ends.subscriber, origin));
    if (!marked && facts.marks) {
      facts.warnings.push('No replication origin was free, so the transactions carry none.');
      await this.repository.setFacts(id, { ...facts, marks: false });
    }
    await repairLink({
      ...{ readers, facts, signal, purpose: writerPurpose(id), origin: marked ? origin : null },
      itemsOf: (table) => this.repository.pending(id, table),
      onIntended: (positions) => this.repository.intend(id, positions),
      onDone: async (items) => {
        await this.repository.done(id, items);
        await this.progress(id);
      },
    });
    await this.verify(id, readers, signal);
  }

  private async progress(id: string): Promise<void> {
    const { pending, ...done } = await this.repository.counts(id);
    const ended = Object.values(done).reduce((sum, n) => sum + n, 0);
    const percent = Math.round((ended / (ended + pending)) * 1000) / 10;
    const message = `repaired ${done.repaired} rows; ${ended} of ${ended + pending} differences done`;
    await this.operations.progress(id, { percent, message, etaSeconds: null });
  }

  /** Compares what was written once more, in a bound pair that is newer than all of it. */
  private async verify(id: string, readers: LinkReaders, signal: AbortSignal): Promise<void> {
    const tables = await this.repository.tables(id, 'repaired');
    if (tables.length === 0) return;
    const keys = new Map<string, string[][]>();
    const { comparable } = await currentTables(readers.ends, readers.subscription.name, tables);
    for (const shape of comparable) {
      const ofTable = shape.key === null ? [] : await this.repository.repairedKeys(id, shape);
      const asked = ofTable.map((key) => keyInBothForms(shape, key));
      keys.set(
        tableId(shape),
        asked.flatMap((key) => ('reason' in key ? [] : [key.publisher])),
      );
    }
    const { verdict, reason, verifiedLsn } = await verifyLink({ readers, tables, keys, signal });
    await this.repository.verified(id, verdict, reason, verifiedLsn === null ? null : formatLsn(verifiedLsn));
  }

  private async outcome(id: string): Promise<Outcome> {
    const { repair } = await this.get(id);
    const remaining = await this.repository.unlisted(repair.verification);
    const { verdict, verifiedLsn } = repair;
    return { ...(await this.repository.counts(id)), remaining, verdict, verifiedLsn };
  }

  /** A process that was declared dead may only be paused: its session would hold the table for as long. */
  private async endEarlierLife(id: string, { subscriber }: LinkEnds): Promise<void> {
    await withSession(subscriber, LIMITS, (session) =>
      session.rows(variantFor(END_WRITERS, session.versionNum), [`lockstep ${writerPurpose(id)}`]),
    );
  }

  /** A server that is away is waited for: a slot left behind would keep its WAL for ever. */
  private async removeReaders(id: string): Promise<void> {
    const { verification } = await this.get(id);
    const journal = new StatementJournal();
    const ends = await this.ends(id, verification, journal, new RowStatements());
    for (const deadline = Date.now() + REMOVAL_DEADLINE_MS; ;) {
      try {
        // One end that is away keeps nothing of ours at the other.
        const removed = await Promise.allSettled([
          this.endEarlierLife(id, ends).then(() => dropOrigin(ends.subscriber, originName(id))),
          dropLinkObjects(ends),
        ]);
        for (const outcome of removed) if (outcome.status === 'rejected') throw outcome.reason;
        return await this.account(id, 'remove', 'succeeded', journal.take());
      } catch (error) {
        await this.account(id, 'remove', 'failed', journal.take());
        if (!(error instanceof Problem) || !error.retryable || Date.now() > deadline) throw error;
        await delay(REMOVAL_RETRY_MS);
      }
    }
  }

  private async get(id: string): Promise<{ repair: Repair; verification: ListedVerification }> {
    const repair = await this.repository.find(id);
    const verification = repair && (await this.verifications.find(repair.verification));
    if (!verification) throw new Problem('NOT_FOUND', `there is no repair ${id}`);
    return { repair, verification };
  }

  private async ends(
    id: string,
    verification: ListedVerification,
    journal: StatementJournal,
    rows: RowStatements,
  ): Promise<LinkEnds> {
    const { publisherServer, publisherDatabase, subscriberServer, subscriberDatabase } = verification;
    return {
      readerId: readerIdOf(id),
      publisher: {
        ...(await this.servers.target(publisherServer, publisherDatabase)),
        onStatement: (sql) => journal.note('publisher', sql),
      },
      subscriber: {
        ...(await this.servers.target(subscriberServer, subscriberDatabase)),
        onStatement: (sql) => {
          if (!rows.note(sql)) journal.note('subscriber', sql);
        },
      },
    };
  }

  private async account(
    id: string,
    action: 'write' | 'remove',
    outcome: 'succeeded' | 'failed',
    sql: string[],
    details: Record<string, unknown> = {},
  ): Promise<void> {
    if (sql.length === 0) return;
    const actor = `operation ${id}`;
    await this.audit.record({ action: `repairs.${action}`, subject: `operations/${id}`, outcome, sql, details, actor });
  }
}
