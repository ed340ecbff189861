import { problemDocument } from '../../engine/dbos-context.js';
import { LeaseLost, OperationCancelled } from '../../engine/engine.js';
import type { ProblemDocument } from '../../problems/problem.js';
import type { UpgradeRepository } from '../upgrade.repository.js';
import type { Readers } from './readers.js';
import type { StepContext } from './step.js';

/** More WAL than this since the verified LSN: it is brought forward, so that the source may let go of it. */
const MUCH_WAL_BYTES = 1_000_000_000;
/** After a verification that did not help, the next one waits; twice as long each time, until something has changed. */
const FIRST_WAIT_MS = 60_000;
const LONGEST_WAIT_MS = 3_600_000;
/** How soon a verification notices that the gate was taken. */
const HURRY_POLL_MS = 500;

/**
 * Looks after an upgrade while its gate waits: keeps the keys touched since the verified LSN few, and so the WAL kept
 * for them and the final check short. Reads everything only where nothing less helps, never all the time, and never
 * while somebody waits for the gate to be passed.
 */
export class GateWatch {
  private waitMs = FIRST_WAIT_MS;
  private notBefore = 0;
  /** Not even a new reason verifies before: the servers have other things to do. */
  private restUntil = 0;
  /** How the link stood after the last verification that did not help. */
  private stood: string | null = null;

  constructor(
    private readonly run: StepContext,
    private readonly repository: Pick<UpgradeRepository, 'find' | 'patch'>,
    private readonly now: () => number = Date.now,
  ) {}

  async look(): Promise<void> {
    const hurry = new AbortController();
    try {
      if (await this.untilHurried(hurry, (signal) => this.care(signal))) await this.takeBackProblem();
    } catch (error) {
      // A server that is restarted while a gate waits is no reason to give up; the next look, or the approval, tells.
      if (error instanceof LeaseLost || error instanceof OperationCancelled || this.run.signal.aborted) throw error;
      if (!hurry.signal.aborted) await this.tell(problemDocument(error));
    }
  }

  /** Answers whether all is well. */
  private async care(signal: AbortSignal): Promise<boolean> {
    let readers = await this.run.readers('forward');
    if ((await readers.forgetIfRewritten()) && readers.failed) readers = await this.run.readers('forward');
    const wal = await readers.walSinceVerified();
    const much = readers.isFarBehind || (wal !== null && wal > MUCH_WAL_BYTES);
    if (readers.isAccepted) {
      if (much) readers.letGo();
      return true;
    }
    if (much && !readers.needsVerification) await readers.advance(signal);
    return !readers.needsVerification || (await this.verify(readers, signal));
  }

  private async verify(readers: Readers, signal: AbortSignal): Promise<boolean> {
    const started = this.now();
    if (started < this.restUntil || (readers.standing === this.stood && started < this.notBefore)) return false;
    if (readers.standing !== this.stood) this.waitMs = FIRST_WAIT_MS;
    try {
      await readers.verify(this.run, signal);
    } finally {
      const ended = this.now();
      this.restUntil = ended + (ended - started);
      this.stood = readers.needsVerification ? readers.standing : null;
      this.notBefore = ended + this.waitMs;
      this.waitMs = Math.min(2 * this.waitMs, LONGEST_WAIT_MS);
    }
    return !readers.needsVerification;
  }

  /** Ends the work once the gate is not awaited any more; whoever took it begins anew with what is needed. */
  private async untilHurried<T>(hurry: AbortController, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const asked = setInterval(() => {
      this.repository.find(this.run.name).then(
        (now) => (now === null || now.awaiting === null || now.abortRequestedAt !== null) && hurry.abort(),
        () => {},
      );
    }, HURRY_POLL_MS);
    try {
      return await work(AbortSignal.any([this.run.signal, hurry.signal]));
    } finally {
      clearInterval(asked);
    }
  }

  /** Over what an attempt may have left there, which comes back once this has passed. */
  private async tell(problem: ProblemDocument): Promise<void> {
    const shown = (await this.repository.find(this.run.name))?.problem as ProblemDocument | null | undefined;
    const earlier = this.run.facts.watchProblem;
    const over = earlier && isSame(shown, earlier.told) ? earlier.over : (shown ?? null);
    await this.run.record({ watchProblem: { told: problem, over } });
    await this.repository.patch(this.run.name, { problem });
  }

  private async takeBackProblem(): Promise<void> {
    const { watchProblem } = this.run.facts;
    if (!watchProblem) return;
    const shown = (await this.repository.find(this.run.name))?.problem as ProblemDocument | null | undefined;
    if (isSame(shown, watchProblem.told)) await this.repository.patch(this.run.name, { problem: watchProblem.over });
    await this.run.forget('watchProblem');
  }
}

function isSame(one: ProblemDocument | null | undefined, other: ProblemDocument): boolean {
  return one?.code === other.code && one.detail === other.detail;
}
