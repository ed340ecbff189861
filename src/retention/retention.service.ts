import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { Config } from '../config/config.js';
import { Engine } from '../engine/engine.js';
import { SessionLock } from '../storage/session-lock.js';
import { StateDatabase } from '../storage/state-database.js';
import { RetentionRepository } from './retention.repository.js';

/** Work that was cut off by the last end comes first. */
const FIRST_AFTER_MS = 5_000;
const EVERY_MS = 3_600_000;
/** Between two statements, so that a large backlog does not crowd out the work that people wait for. */
const PAUSE_MS = 20;

/** How much of what was removed. */
export type Removed = Record<
  | 'idempotencyKeys'
  | 'auditEvents'
  | 'eventsOfOperations'
  | 'operations'
  | 'verifications'
  | 'upgradeEvents'
  | 'instances',
  number
>;

/**
 * Removes what is older than its time, soon after the start and every hour. One instance at a time does it, and stops
 * when it can no longer show that it is the one; being cut off at any point leaves nothing half removed, and the next
 * run goes on.
 */
@Injectable()
export class RetentionService implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly log = new Logger('retention');
  private readonly stopping = new AbortController();
  private timer: NodeJS.Timeout | null = null;
  private current: Promise<void> = Promise.resolve();

  constructor(
    private readonly repository: RetentionRepository,
    private readonly engine: Engine,
    private readonly state: StateDatabase,
    private readonly config: Config,
  ) {}

  onApplicationBootstrap(): void {
    this.runAfter(FIRST_AFTER_MS);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    if (this.timer) clearTimeout(this.timer);
    await this.current;
  }

  /** Null when another instance is at it. */
  async run(): Promise<Removed | null> {
    const lock = await SessionLock.tryTake(this.state.url, 'retention');
    if (lock === null) return null;
    try {
      return await this.removeOld(lock);
    } finally {
      await lock.release();
    }
  }

  private runAfter(ms: number): void {
    this.timer = setTimeout(() => {
      this.current = this.quietly().then(() => {
        if (!this.stopping.signal.aborted) this.runAfter(EVERY_MS);
      });
    }, ms);
    this.timer.unref();
  }

  private async quietly(): Promise<void> {
    try {
      const removed = await this.run();
      const some = Object.entries(removed ?? {}).filter(([, count]) => count > 0);
      if (some.length > 0)
        this.log.log({ message: 'removed what is older than its retention', ...Object.fromEntries(some) });
    } catch (error) {
      if (this.stopping.signal.aborted) return;
      this.log.error(
        `retention failed, the next run goes on: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  private async removeOld(lock: SessionLock): Promise<Removed> {
    const { auditRetentionDays, eventRetentionDays, operationRetentionDays } = this.config;
    const { repository } = this;
    const removed: Removed = {
      ...{ idempotencyKeys: 0, auditEvents: 0, eventsOfOperations: 0, operations: 0, verifications: 0 },
      ...{ upgradeEvents: 0, instances: 0 },
    };
    removed.idempotencyKeys = await this.inBatches(lock, () => repository.idempotencyKeys());
    if (auditRetentionDays > 0) {
      removed.auditEvents = await this.inBatches(lock, () => repository.auditEvents(auditRetentionDays));
    }
    if (eventRetentionDays > 0) {
      removed.eventsOfOperations = await this.ofForgotten(
        lock,
        (except) => repository.operationsWithEvents(eventRetentionDays, except),
        (ids) => repository.operationEvents(ids),
      );
      removed.upgradeEvents = await this.inBatches(lock, () => repository.upgradeEvents(eventRetentionDays));
      removed.instances = await this.inBatches(lock, () => repository.stoppedInstances(eventRetentionDays));
    }
    if (operationRetentionDays > 0) {
      removed.operations = await this.ofForgotten(
        lock,
        (except) => repository.oldOperations(operationRetentionDays, except),
        (ids) => repository.operations(ids),
      );
      removed.verifications = await this.inBatches(lock, () =>
        repository.verificationsOfUpgrades(operationRetentionDays),
      );
    }
    return removed;
  }

  private async inBatches(lock: SessionLock, batch: () => Promise<number>): Promise<number> {
    let total = 0;
    while (lock.held && !this.stopping.signal.aborted) {
      const count = await batch();
      total += count;
      if (count === 0) break;
      await this.pause();
    }
    return total;
  }

  /** The engine's records go first: an operation without them is whole, they without it would stay for ever. */
  private async ofForgotten(
    lock: SessionLock,
    find: (except: string[]) => Promise<string[]>,
    remove: (ids: string[]) => Promise<number>,
  ): Promise<number> {
    const kept: string[] = [];
    return await this.inBatches(lock, async () => {
      const found = await find(kept);
      const forgotten = await this.engine.forgetEnded(found);
      kept.push(...found.filter((id) => !forgotten.includes(id)));
      if (forgotten.length > 0) await remove(forgotten);
      return found.length;
    });
  }

  private async pause(): Promise<void> {
    await delay(PAUSE_MS, undefined, { signal: this.stopping.signal }).catch(() => {});
  }
}
