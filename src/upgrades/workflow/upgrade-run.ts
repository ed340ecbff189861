import { ServersService } from '../../servers/servers.service.js';
import type { AuditService } from '../../security/audit.service.js';
import type { ConnectionTarget } from '../../postgres/connection.js';
import { runStatements } from '../../postgres/ddl/run-statements.js';
import type { Statement } from '../../postgres/ddl/statement.js';
import type { Session } from '../../postgres/session.js';
import { LeaseLost } from '../../engine/engine.js';
import type { Lease, Leases } from '../../engine/lease.repository.js';
import type { Operations } from '../../operations/operations.js';
import type { RollbackVerification, PassingFact, UpgradeFacts } from '../facts.js';
import { Problem } from '../../problems/problem.js';
import { objectNames, type ObjectNames } from '../object-names.js';
import type { PreflightResult } from '../preflight/check.js';
import { type PreflightOptions, replicationAddress } from '../preflight/options.js';
import { preflightOptionsOf } from '../steps/preflight.step.js';
import { formatLsn } from '../../shared/lsn.js';
import type { LinkVerification, VerificationProgress } from '../../verification/at-rest/link-verification.js';
import type { VerificationRepository } from '../../verification/verification.repository.js';
import type { UpgradeEntity } from '../upgrade.entity.js';
import type { UpgradeRepository } from '../upgrade.repository.js';
import type { UpgradeRequest } from '../upgrade-request.js';
import { publisherConninfo } from '../../subscriptions/publisher-connection.js';
import { openActSession } from './act-session.js';
import type { Direction } from './direction.js';
import type { Moment } from './late-opening.js';
import { Readers } from './readers.js';
import { StatementJournal } from '../../changes/statement-journal.js';
import type { Side, StepContext } from './step.js';

export interface UpgradeRunServices {
  repository: UpgradeRepository;
  servers: ServersService;
  leases: Leases;
  operations: Operations;
  audit: AuditService;
  verifications: VerificationRepository;
}

/** One upgrade being carried out by this process: its sessions, its streams, and its facts as stored. */
export class UpgradeRun implements StepContext {
  facts: UpgradeFacts;
  readonly name: string;
  readonly shortId: string;
  readonly request: UpgradeRequest;
  readonly names: ObjectNames;
  private readonly sessions = new Map<Side, Promise<Session>>();
  private readonly openReaders = new Map<Direction, Promise<Readers>>();
  private lease: Lease | null = null;
  private takingLease: Promise<Lease> | null = null;
  /** The side that an abort leaves as it is. */
  leave: Side | null = null;
  readonly drained = new Map<Direction, Moment>();
  private readonly journal = new StatementJournal();

  constructor(
    upgrade: UpgradeEntity,
    readonly operationId: string,
    readonly signal: AbortSignal,
    private readonly passwords: Record<string, string>,
    private readonly services: UpgradeRunServices,
  ) {
    this.name = upgrade.name;
    this.shortId = upgrade.shortId;
    this.request = upgrade.request;
    this.names = objectNames(upgrade.shortId);
    this.facts = upgrade.facts;
  }

  async record(facts: Partial<UpgradeFacts>): Promise<void> {
    await this.services.repository.record(this.name, facts);
    this.facts = { ...this.facts, ...facts };
  }

  async forget(...names: PassingFact[]): Promise<void> {
    await this.services.repository.forget(this.name, names);
    const facts = { ...this.facts };
    for (const name of names) delete facts[name];
    this.facts = facts;
  }

  isLeft(side: Side): boolean {
    return this.leave === side;
  }

  async systemIdentifier(side: Side): Promise<string> {
    return (await this.services.servers.facts(this.request[side].server)).systemIdentifier;
  }

  async act(side: Side): Promise<Session> {
    if (this.isLeft(side)) throw sideIsLeft(side);
    const open = this.sessions.get(side);
    const session = open === undefined ? null : await open.catch(() => null);
    if (session?.alive) return session;
    // Somebody else of this run has begun to open another meanwhile: two would end each other.
    if (this.sessions.get(side) !== open) return await this.act(side);
    const opening = this.openSession(side);
    this.sessions.set(side, opening);
    return await opening;
  }

  async run(side: Side, statements: readonly Statement[]): Promise<void> {
    if (statements.length === 0) return;
    const session = await this.act(side);
    for (const { redactedSql } of statements) this.journal.note(side, redactedSql);
    await runStatements(session, statements);
  }

  /** One audit event for what a step did, with the SQL it ran; secrets are left out where it is stored. */
  async audit(step: string, outcome: 'succeeded' | 'failed', details: Record<string, unknown>): Promise<void> {
    await this.services.audit.record({
      action: `upgrades.${step}`,
      subject: `upgrades/${this.name}`,
      outcome,
      sql: this.journal.take(),
      details,
      actor: `operation ${this.operationId}`,
    });
  }

  async connection(side: Side): Promise<ConnectionTarget> {
    if (this.isLeft(side)) throw sideIsLeft(side);
    const { server, database } = this.request[side];
    const target = await this.services.servers.target(server, database);
    return { ...target, onStatement: (sql) => this.journal.note(side, sql) };
  }

  async conninfoOf(side: Side): Promise<string> {
    const { server, database } = this.request[side];
    return publisherConninfo(await this.services.servers.advertisedTarget(server, database));
  }

  async user(side: Side): Promise<string> {
    return (await this.connection(side)).user;
  }

  writerPassword(role: string): string | null {
    return this.passwords[role] ?? null;
  }

  writerPasswords(): ReadonlyMap<string, string> {
    return new Map(Object.entries(this.passwords));
  }

  async readers(direction: Direction, signal = this.signal): Promise<Readers> {
    // A stream that ended for good is of no use any more: whether another can take its place is seen by opening it.
    if ((await this.openReaders.get(direction)?.catch(() => null))?.failed) await this.closeReaders(direction);
    const opening = this.openReaders.get(direction) ?? Readers.open(this, direction, signal);
    this.openReaders.set(direction, opening);
    try {
      return await opening;
    } catch (error) {
      this.openReaders.delete(direction);
      throw error;
    }
  }

  async dropReaders(direction: Direction): Promise<Record<string, unknown> | null> {
    await this.closeReaders(direction);
    await this.abandonUnfinished();
    return await Readers.drop(this, direction);
  }

  async setWriteTo(side: Side | null): Promise<void> {
    await this.services.repository.patch(this.name, { writeTo: side });
    await this.event('write-to', { writeTo: side });
  }

  async preflightOptions(): Promise<PreflightOptions> {
    const [source, target] = [this.request.source, this.request.target];
    const { servers } = this.services;
    return {
      ...preflightOptionsOf(this.request, this.shortId, Object.keys(this.passwords)),
      sourceAddress: replicationAddress(await servers.advertisedTarget(source.server, source.database)),
      targetAddress: replicationAddress(await servers.advertisedTarget(target.server, target.database)),
    };
  }

  async storePreflight(preflight: PreflightResult[]): Promise<void> {
    await this.services.repository.patch(this.name, { preflight });
  }

  async beginVerification(id: string, direction: Direction): Promise<void> {
    const [publisher, subscriber] =
      direction === 'forward' ? [this.request.source, this.request.target] : [this.request.target, this.request.source];
    await this.abandonUnfinished();
    // Before the record itself: one that nobody knows of would never be ended.
    await this.services.repository.patch(this.name, { verification: { id, verdict: null, verifiedLsn: null } });
    await this.services.verifications.insert({
      id,
      kind: 'at-rest',
      subscriberServer: subscriber.server,
      subscriberDatabase: subscriber.database,
      subscription: direction === 'forward' ? this.names.subscription : this.names.backSubscription,
      publisherServer: publisher.server,
      publisherDatabase: publisher.database,
      tables: null,
      singleLsn: true,
      pacing: null,
      maxParallel: this.request.verification.maxParallel,
    });
    await this.services.verifications.begin(id);
  }

  async verificationProgress(id: string, progress: VerificationProgress): Promise<void> {
    await this.services.verifications.setProgress(id, progress);
    const { rowsDone, rowsTotal, bytesDone, bytesTotal } = progress;
    const percent = bytesTotal > 0 ? (100 * bytesDone) / bytesTotal : null;
    await this.progress(`verifying: ${rowsDone} of ${rowsTotal} rows`, percent);
  }

  async storeVerification(id: string, result: LinkVerification): Promise<void> {
    await this.services.verifications.finish(id, result);
    const verifiedLsn = result.verifiedLsn === null ? null : formatLsn(result.verifiedLsn);
    await this.services.repository.patch(this.name, { verification: { id, verdict: result.verdict, verifiedLsn } });
  }

  async abandonVerification(id: string, reason: string): Promise<void> {
    await this.services.verifications.abandon(id, reason);
  }

  /** One that an earlier process was carrying out when it ended. */
  private async abandonUnfinished(): Promise<void> {
    const last = (await this.services.repository.find(this.name))?.verification;
    if (last?.verdict === null) await this.abandonVerification(last.id, 'it was interrupted');
  }

  passPointOfNoReturn(): Promise<boolean> {
    return this.services.repository.passPointOfNoReturn(this.name);
  }

  async clearPointOfNoReturn(): Promise<void> {
    await this.services.repository.patch(this.name, { openingAt: null });
  }

  async rollbackVerification(): Promise<RollbackVerification> {
    const stored = (await this.services.repository.find(this.name))?.facts.rollbackVerification ?? 'before';
    this.facts = { ...this.facts, rollbackVerification: stored };
    return stored;
  }

  async progress(message: string, percent: number | null = null, etaSeconds: number | null = null): Promise<void> {
    const rounded = percent === null ? null : Math.round(Math.min(100, Math.max(0, percent)) * 10) / 10;
    await this.services.operations.progress(this.operationId, { percent: rounded, message, etaSeconds });
  }

  async event(type: string, data: Record<string, unknown>): Promise<void> {
    await this.services.repository.event(this.name, type, data);
  }

  /**
   * Cuts the act sessions off without a farewell that a vanished server would never answer. The streams, which may hang
   * on the same server, are opened anew when they are needed, before the next fence and not in it.
   */
  dropSessions(): void {
    void this.closeAllReaders();
    const sessions = [...this.sessions.values()];
    this.sessions.clear();
    for (const session of sessions) session.then((open) => open.destroy()).catch(() => {});
  }

  /** Ends streams and sessions; the slots stay, so that a later run goes on from where this one confirmed. */
  async close(): Promise<void> {
    await this.closeAllReaders();
    const sessions = [...this.sessions.values()];
    this.sessions.clear();
    for (const session of sessions) await session.then((open) => open.close()).catch(() => {});
  }

  private async closeAllReaders(): Promise<void> {
    await Promise.all([...this.openReaders.keys()].map((direction) => this.closeReaders(direction)));
  }

  async closeReaders(direction: Direction): Promise<void> {
    const open = this.openReaders.get(direction);
    this.openReaders.delete(direction);
    if (open) await open.then((readers) => readers.close()).catch(() => {});
  }

  /** False once another instance has taken the upgrade over. */
  async leaseHeld(): Promise<boolean> {
    return this.lease === null || (await this.services.leases.holds(this.lease));
  }

  private async openSession(side: Side): Promise<Session> {
    const { epoch } = await this.ownLease();
    if (!(await this.leaseHeld())) throw new LeaseLost();
    return await openActSession(await this.connection(side), this.name, epoch);
  }

  /** Taken once, also where both sides are opened at the same time: a second one would end the first. */
  private ownLease(): Promise<Lease> {
    this.takingLease ??= this.services.leases.take(`upgrade ${this.name}`).then(
      (lease) => (this.lease = lease),
      (error: unknown) => {
        this.takingLease = null;
        throw error;
      },
    );
    return this.takingLease;
  }
}

/** What an undo meets that would have to act on a side that is left as it is; never retried. */
function sideIsLeft(side: Side): Problem {
  return new Problem('PREREQUISITE_FAILED', `the ${side} is left as it is`, { extra: { left: side } });
}
