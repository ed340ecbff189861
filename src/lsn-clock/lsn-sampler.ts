import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { Config } from '../config/config.js';
import { readWalEnd } from '../postgres/catalog/wal-position.js';
import { Problem } from '../problems/problem.js';
import { within } from '../servers/answer-limit.js';
import { ServersService } from '../servers/servers.service.js';
import { LsnSampleRepository } from './lsn-sample.repository.js';

const SERVERS_AT_ONCE = 8;
const THIN_EVERY_MS = 300_000;
const SAMPLE_WITHIN_MS = 5_000;

/**
 * Notes every few seconds where the WAL of each registered server ends. Every instance looks for servers that are due,
 * so that one takes over where another stops; two that take the same sample do no harm. A server that does not answer
 * leaves a gap.
 */
@Injectable()
export class LsnSampler implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly log = new Logger('lsn clock');
  private readonly everySeconds: number;
  private timer: NodeJS.Timeout | null = null;
  private stopped = false;
  private current: Promise<void> = Promise.resolve();
  private thinnedAt = 0;
  private complained = false;
  private readonly taking = new Set<string>();

  constructor(
    private readonly samples: LsnSampleRepository,
    private readonly servers: ServersService,
    config: Config,
  ) {
    this.everySeconds = config.lsnSampleSeconds;
  }

  onApplicationBootstrap(): void {
    if (this.everySeconds > 0) this.runAfter(this.everySeconds * 500);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopped = true;
    if (this.timer) clearTimeout(this.timer);
    await this.current;
  }

  private runAfter(ms: number): void {
    this.timer = setTimeout(() => {
      this.current = this.round().then(() => {
        if (!this.stopped) this.runAfter(this.everySeconds * 500);
      });
    }, ms);
    this.timer.unref();
  }

  /** Never rejects: without samples figures are unknown, and say so. */
  private async round(): Promise<void> {
    try {
      const due = await this.samples.due(this.everySeconds * 0.9);
      const next = async () => {
        for (let name = due.shift(); name !== undefined && !this.stopped; name = due.shift()) await this.sample(name);
      };
      await Promise.all(Array.from({ length: SERVERS_AT_ONCE }, next));
      if (Date.now() - this.thinnedAt > THIN_EVERY_MS) {
        await this.samples.thin();
        this.thinnedAt = Date.now();
      }
      this.complained = false;
    } catch (error) {
      if (this.stopped || this.complained) return;
      this.complained = true;
      this.log.warn(`positions are not recorded: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** One that takes long is no longer waited for, nor begun again before it has ended: the other servers are due. */
  private async sample(server: string): Promise<void> {
    if (this.taking.has(server)) return;
    this.taking.add(server);
    const taking = this.take(server).finally(() => this.taking.delete(server));
    try {
      await within(SAMPLE_WITHIN_MS, taking);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
    }
  }

  private async take(server: string): Promise<void> {
    const lsn = await this.servers.withSession(server, undefined, readWalEnd);
    if (lsn !== null) await this.samples.add(server, lsn);
  }
}
