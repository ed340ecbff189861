import type { ConnectionTarget } from '../../postgres/connection.js';
import type { Statement } from '../../postgres/ddl/statement.js';
import type { Session } from '../../postgres/session.js';
import type { PassingFact, RollbackVerification, UpgradeFacts } from '../facts.js';
import type { PreflightResult } from '../preflight/check.js';
import type { PreflightOptions } from '../preflight/options.js';
import type { LinkVerification, VerificationProgress } from '../../verification/at-rest/link-verification.js';
import type { ObjectNames } from '../object-names.js';
import type { UpgradePhase, UpgradeRequest } from '../upgrade-request.js';
import type { Direction, Side } from './direction.js';
import type { Moment } from './late-opening.js';
import type { Readers } from './readers.js';

export type { Side };

/** What a step works with. `facts` is what was recorded so far; a step records its intent before it acts. */
export interface StepContext {
  readonly name: string;
  readonly shortId: string;
  readonly operationId: string;
  readonly request: UpgradeRequest;
  readonly names: ObjectNames;
  readonly facts: UpgradeFacts;
  readonly signal: AbortSignal;
  /** Stores facts before anything else happens; `facts` shows them from then on. */
  record(facts: Partial<UpgradeFacts>): Promise<void>;
  forget(...facts: PassingFact[]): Promise<void>;
  /** Whether an abort leaves that side as it is, lost or out of reach; `act` and `connection` reject for it. */
  isLeft(side: Side): boolean;
  /** As of the last look at the server, so also for one that is out of reach. */
  systemIdentifier(side: Side): Promise<string>;
  /** The session that may change that side; see `openActSession`. */
  act(side: Side): Promise<Session>;
  /** Runs statements on that side's act session and audits them, secrets left out. */
  run(side: Side, statements: readonly Statement[]): Promise<void>;
  /** How Lockstep reaches that side's database. Holds a password. */
  connection(side: Side): Promise<ConnectionTarget>;
  /** libpq connection string with which the other side's server reaches this one. Holds a password. */
  conninfoOf(side: Side): Promise<string>;
  /** Login that Lockstep uses on that side. */
  user(side: Side): Promise<string>;
  /** Password verifiers are copied; where they cannot be read, a password may have been given. */
  writerPassword(role: string): string | null;
  writerPasswords(): ReadonlyMap<string, string>;
  /** Change streams of a link and the keys touched since its last verified LSN. `signal` ends the opening. */
  readers(direction: Direction, signal?: AbortSignal): Promise<Readers>;
  /** Ends the streams; their slots stay, and the next `readers` opens them with the tables as they are then. */
  closeReaders(direction: Direction): Promise<void>;
  /** Removes the readers' slots and publications from both servers. */
  dropReaders(direction: Direction): Promise<Record<string, unknown> | null>;
  /** What the preflight checks need to know. */
  preflightOptions(): Promise<PreflightOptions>;
  storePreflight(results: PreflightResult[]): Promise<void>;
  /** A verification of this upgrade, as GET /v1/verifications/{id} shows it. */
  beginVerification(id: string, direction: Direction): Promise<void>;
  verificationProgress(id: string, progress: VerificationProgress): Promise<void>;
  storeVerification(id: string, result: LinkVerification): Promise<void>;
  /** It ended without an outcome. */
  abandonVerification(id: string, reason: string): Promise<void>;
  progress(message: string, percent?: number | null, etaSeconds?: number | null): Promise<void>;
  /** Where clients may write now; null while fenced. */
  setWriteTo(side: Side | null): Promise<void>;
  /** Records that the target is about to be opened; false when an abort was asked for first. */
  passPointOfNoReturn(): Promise<boolean>;
  /** The source is open again: from here an abort is possible once more. */
  clearPointOfNoReturn(): Promise<void>;
  /** Reads when the rollback is to verify: a caller may have asked meanwhile to do it after the opening. */
  rollbackVerification(): Promise<RollbackVerification>;
  /**
   * When this process showed a link to be drained. What an earlier process showed, nobody here can say how long ago.
   */
  readonly drained: Map<Direction, Moment>;
  /** Appends to the upgrade's events. */
  event(type: string, data: Record<string, unknown>): Promise<void>;
}

/**
 * One step of an upgrade: looks whether its effect is already there, acts, and checks by reading the server. May be
 * run again after a crash at any point within.
 */
export interface UpgradeStep {
  readonly name: string;
  /** The phase callers see while it runs. */
  readonly phase: UpgradePhase;
  /** Answers what the report tells of it, no secrets; `{ skipped: why }` when it was not needed. */
  run(context: StepContext): Promise<Record<string, unknown>>;
  /**
   * How long a server that went away is waited for, in ms; default two minutes, and not at all inside the fence. Where a
   * step says so itself, anything that may pass is waited for: neither side is open until it succeeds.
   */
  readonly retryForMs?: number;
  /** Whether something of an earlier run may be there although the step is due again. */
  remains?(facts: UpgradeFacts): boolean;
  /** Puts back what `run` did, whether it finished or not. Idempotent. Null: there was nothing. */
  undo?(context: StepContext): Promise<Record<string, unknown> | null>;
}
