import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { cursorKey, type Page, pageOf } from '../../api/page.js';
import { Engine } from '../../engine/engine.js';
import { OperationsService } from '../../operations/operations.service.js';
import { invalidInput } from '../../problems/validation.pipe.js';
import { Problem, type ProblemDocument } from '../../problems/problem.js';
import { ServerUsage } from '../../servers/server-usage.js';
import { type ListedVerification, VerificationRepository } from '../verification.repository.js';
import type { TriggerMode } from './repair-facts.js';
import { type Repair, type RepairCounts, RepairRepository, type RepairRow } from './repair.repository.js';
import { RepairWorkflow } from './repair.workflow.js';

export interface RepairRequest {
  /** Numbers of differences; `all`: every one that is listed. */
  differences: 'all' | number[];
  triggers: TriggerMode;
}

export interface RepairView extends Repair {
  state: string;
  counts: RepairCounts;
  /** Differences that were counted and not listed, and so cannot be chosen. */
  remaining: number;
}

/** The statements that would be run, in their order, and the differences that have none. */
export interface PlannedRepair {
  verification: Pick<
    ListedVerification,
    'id' | 'subscription' | 'publisherServer' | 'publisherDatabase' | 'subscriberServer' | 'subscriberDatabase'
  >;
  repair: Pick<Repair, 'facts'>;
  rows: RepairRow[];
  remaining: number;
}

const PLAN_DEADLINE_MS = 150_000;
const POLL_MS = 50;

/** Repairing what a verification found. */
@Injectable()
export class RepairService {
  constructor(
    private readonly repository: RepairRepository,
    private readonly verifications: VerificationRepository,
    private readonly operations: OperationsService,
    private readonly engine: Engine,
    private readonly workflow: RepairWorkflow,
    usage: ServerUsage,
  ) {
    usage.register((server) => repository.usesServer(server));
  }

  /** Rejects (409) where there is nothing to go by, or another repair of the verification is at work. */
  async start(verification: string, request: RepairRequest): Promise<RepairView> {
    const subject = await this.requireEnded(verification);
    await this.refuseUnknown(verification, request);
    const running = await this.repository.running(verification);
    if (running !== null) {
      throw new Problem('CONFLICT', `the verification is being repaired already, by operation ${running}`, {
        extra: { operation: running },
      });
    }
    return this.get(verification, await this.begin(subject, 'apply', request));
  }

  /** Looks at the rows as they are now, through slots of its own, and writes nothing. */
  async plan(id: string, request: RepairRequest): Promise<PlannedRepair> {
    const verification = await this.requireEnded(id);
    await this.refuseUnknown(id, request);
    const plan = await this.begin(verification, 'plan', request);
    let repair: Repair | null;
    let rows: RepairRow[];
    try {
      await this.planned(plan);
      repair = await this.repository.find(plan);
      rows = await this.repository.planned(plan);
    } finally {
      // Whole rows of the subscriber.
      await this.repository.forget(plan);
    }
    if (!repair) throw new Problem('NOT_FOUND', `there is no verification ${id}`);
    return { verification, repair, rows, remaining: await this.repository.unlisted(id) };
  }

  async get(verification: string, id: string): Promise<RepairView> {
    const repair = await this.find(verification, id);
    const { state } = await this.operations.get(id);
    const [counts, remaining] = await Promise.all([this.repository.counts(id), this.repository.unlisted(verification)]);
    return { ...repair, state, counts, remaining };
  }

  async rows(verification: string, id: string, limit: number, cursor?: string): Promise<Page<RepairRow>> {
    await this.find(verification, id);
    const after = cursorKey(cursor, 'integer')?.map(Number)[0] ?? null;
    return pageOf(await this.repository.rows(id, limit + 1, after), limit, ({ position }) => [position]);
  }

  private async begin(
    { id: verification }: ListedVerification,
    mode: Repair['mode'],
    { differences, triggers }: RepairRequest,
  ): Promise<string> {
    const id = randomUUID();
    const kind = mode === 'plan' ? 'repair-plan' : 'repair';
    await this.operations.create({ id, kind, subject: { type: 'verification', id: verification } });
    await this.repository.insert({ id, verification, mode, triggers }, differences === 'all' ? null : differences);
    await this.engine.start(this.workflow, id, {});
    return id;
  }

  /** Resolves once the plan is made and nothing of its making is left on the servers. */
  private async planned(id: string): Promise<void> {
    for (const deadline = Date.now() + PLAN_DEADLINE_MS; ; await delay(POLL_MS)) {
      const { state, problem } = await this.operations.get(id);
      if (state === 'succeeded') return;
      if (state === 'failed') throw await this.failed(id, problem as ProblemDocument | null);
      if (state === 'cancelled' || Date.now() > deadline) break;
    }
    await this.engine.cancel(id);
    throw new Problem('SERVER_TIMEOUT', 'the rows could not be looked at in time', {
      hint: 'Ask for fewer differences, or try again when the link lags less.',
    });
  }

  private async failed(id: string, problem: ProblemDocument | null): Promise<Problem> {
    await this.repository.forget(id);
    if (!problem) return new Problem('INTERNAL', 'the rows could not be looked at');
    const { code, detail, retryable, hint, sqlstate } = problem;
    return new Problem(code, detail, {
      retryable,
      ...(hint === undefined ? {} : { hint }),
      ...(sqlstate === undefined ? {} : { sqlstate }),
    });
  }

  private async refuseUnknown(verification: string, { differences }: RepairRequest): Promise<void> {
    if (differences === 'all') return;
    const unknown = await this.repository.unknown(verification, differences);
    if (unknown.length === 0) return;
    const detail = `the verification lists no difference ${unknown.join(', ')}`;
    throw invalidInput([{ pointer: '#/differences', detail }]);
  }

  private async requireEnded(id: string): Promise<ListedVerification> {
    const verification = await this.verifications.find(id);
    if (!verification) throw new Problem('NOT_FOUND', `there is no verification ${id}`);
    if (verification.verdict !== null) return verification;
    throw new Problem('WRONG_STATE', `the verification is ${verification.state} and has found nothing yet`);
  }

  private async find(verification: string, id: string): Promise<Repair> {
    const repair = await this.repository.find(id);
    if (repair?.verification !== verification || repair.mode !== 'apply') {
      throw new Problem('NOT_FOUND', `there is no repair ${id} of verification ${verification}`);
    }
    return repair;
  }
}
