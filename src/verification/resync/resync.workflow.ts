import { Injectable } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { StatementJournal } from '../../changes/statement-journal.js';
import { Engine, type Workflow, type WorkflowContext } from '../../engine/engine.js';
import { Operations } from '../../operations/operations.js';
import { boundedAnswers } from '../../postgres/connection.js';
import { dropLogicalSlot } from '../../postgres/replication/logical-slot.js';
import { withSession } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { AuditService } from '../../security/audit.service.js';
import { ServersService } from '../../servers/servers.service.js';
import { publisherSlotName, readerIdOf } from '../link/link-objects.js';
import { type Resync, ResyncRepository } from './resync.repository.js';
import { type ResyncResult, resyncTable } from './resync-table.js';

const REMOVAL_DEADLINE_MS = 300_000;
const REMOVAL_RETRY_MS = 5_000;
const PROGRESS_EVERY_MS = 1_000;

/**
 * Carries out a resync. Copying again what was copied already changes nothing, so a copy whose outcome a crash kept from
 * being recorded is simply made again.
 */
@Injectable()
export class ResyncWorkflow implements Workflow<Record<string, never>> {
  readonly name = 'table-resync';

  constructor(
    engine: Engine,
    private readonly operations: Operations,
    private readonly repository: ResyncRepository,
    private readonly servers: ServersService,
    private readonly audit: AuditService,
  ) {
    engine.register(this);
  }

  async run(context: WorkflowContext): Promise<void> {
    const id = context.operationId;
    let result: ResyncResult;
    try {
      result = await context.step('copy', () => this.copy(id, context.signal));
    } finally {
      await context.cleanup('remove-slot', () => this.removeSlot(id));
    }
    await context.cleanup('succeed', () => this.operations.succeed(id, result));
  }

  private async copy(id: string, signal: AbortSignal): Promise<ResyncResult> {
    const resync = await this.get(id);
    const journal = new StatementJournal();
    let told = 0;
    let outcome: 'succeeded' | 'failed' = 'failed';
    try {
      const result = await resyncTable({
        readerId: readerIdOf(id),
        ...(await this.ends(resync, journal)),
        subscription: resync.subscription,
        table: { schema: resync.schema, name: resync.name },
        signal,
        onCopy: (sql) => journal.note('subscriber', sql),
        onBytes: (bytes) => {
          if (Date.now() - told < PROGRESS_EVERY_MS) return;
          told = Date.now();
          const progress = { percent: null, message: `copied ${bytes} bytes`, etaSeconds: null };
          // A figure that could not be stored is followed by the next one.
          this.operations.progress(id, progress).catch(() => {});
        },
      });
      outcome = 'succeeded';
      return result;
    } finally {
      await this.account(id, 'copy', outcome, journal);
    }
  }

  /** A publisher that is away is waited for: the slot would keep its WAL for ever. */
  private async removeSlot(id: string): Promise<void> {
    const resync = await this.get(id);
    const journal = new StatementJournal();
    for (const deadline = Date.now() + REMOVAL_DEADLINE_MS; ;) {
      try {
        const { publisher } = await this.ends(resync, journal);
        await withSession(publisher, { purpose: 'resync', ...boundedAnswers() }, (session) =>
          dropLogicalSlot(session, publisherSlotName(readerIdOf(id))),
        );
        return await this.account(id, 'remove', 'succeeded', journal);
      } catch (error) {
        await this.account(id, 'remove', 'failed', journal);
        if (!(error instanceof Problem) || !error.retryable || Date.now() > deadline) throw error;
        await delay(REMOVAL_RETRY_MS);
      }
    }
  }

  private async get(id: string): Promise<Resync> {
    const resync = await this.repository.find(id);
    if (!resync) throw new Problem('NOT_FOUND', `there is no resync ${id}`);
    return resync;
  }

  private async ends(resync: Resync, journal: StatementJournal) {
    const { publisherServer, publisherDatabase, subscriberServer, subscriberDatabase } = resync;
    const target = async (side: 'publisher' | 'subscriber', server: string, database: string) => ({
      ...(await this.servers.target(server, database)),
      onStatement: (sql: string) => journal.note(side, sql),
    });
    return {
      publisher: await target('publisher', publisherServer, publisherDatabase),
      subscriber: await target('subscriber', subscriberServer, subscriberDatabase),
    };
  }

  private async account(
    id: string,
    action: 'copy' | 'remove',
    outcome: 'succeeded' | 'failed',
    journal: StatementJournal,
  ): Promise<void> {
    const sql = journal.take();
    if (sql.length === 0) return;
    const actor = `operation ${id}`;
    await this.audit.record({ action: `resync.${action}`, subject: `operations/${id}`, outcome, sql, actor });
  }
}
