import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { Config } from '../config/config.js';
import { LsnClock } from '../lsn-clock/lsn-clock.service.js';
import { LinksService } from './links.service.js';

/** After a fall of a server's WAL; several looks, as servers around it may not answer at once. */
const LOOK_FOR_SECONDS = 120;
/** Between two looks, so that another fall does not pass unseen. */
const LONGEST_MS = 40_000;
/** Samples and looks have the same period, and no common beginning. */
const LEAST_PERIODS = 3;

/**
 * Looks at every link once the WAL of a server was seen to go back. What was applied past its end is lost on one side,
 * which shows only until the server has written as much again; a look remembers it. Every instance does: the marks are
 * the same.
 */
@Injectable()
export class WentBackWatch implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly log = new Logger('links');
  private readonly everyMs: number;
  private timer: NodeJS.Timeout | null = null;
  private stopped = false;
  private current: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly clock: LsnClock,
    private readonly links: LinksService,
    config: Config,
  ) {
    this.everyMs = config.lsnSampleSeconds * 1000;
  }

  onApplicationBootstrap(): void {
    if (this.everyMs > 0) this.runAfter(this.everyMs);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopped = true;
    if (this.timer) clearTimeout(this.timer);
    await this.current;
  }

  private runAfter(ms: number): void {
    this.timer = setTimeout(() => {
      this.current = this.round().then((looked) => {
        if (!this.stopped) this.runAfter(looked ? Math.min(ms * 2, Math.max(LONGEST_MS, this.everyMs)) : this.everyMs);
      });
    }, ms);
    this.timer.unref();
  }

  /** Whether it looked. Never rejects. */
  private async round(): Promise<boolean> {
    try {
      if (!(await this.clock.anyWentBack(Math.max(LOOK_FOR_SECONDS, (LEAST_PERIODS * this.everyMs) / 1000))))
        return false;
      await this.links.lookAtAll();
      return true;
    } catch (error) {
      if (!this.stopped) this.log.warn(`not looked at: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    }
  }
}
