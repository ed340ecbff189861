import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { Config } from '../../config/config.js';
import { failpoint } from '../../engine/failpoints.js';
import { Problem } from '../../problems/problem.js';
import { SessionLock } from '../../storage/session-lock.js';
import { StateDatabase } from '../../storage/state-database.js';
import type { LinkName } from '../link-looks.js';
import { LinksService } from '../links.service.js';
import { DriftService } from './drift.service.js';
import { SchemaLookRepository } from './schema-look.repository.js';

const LINKS_AT_ONCE = 4;
/** Of one link: a server that hangs must not hold up the others. */
const LOOK_MS = 60_000;

/**
 * Looks at the schemas of every link now and then. One instance at a time does it; another one goes on with what is due
 * where it stops. A look that fails is remembered as such, and tried again the next time.
 */
@Injectable()
export class DriftWatch implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly log = new Logger('schema drift');
  private readonly everySeconds: number;
  private readonly stopping = new AbortController();
  private timer: NodeJS.Timeout | null = null;
  private current: Promise<void> = Promise.resolve();

  constructor(
    private readonly links: LinksService,
    private readonly drift: DriftService,
    private readonly looks: SchemaLookRepository,
    private readonly state: StateDatabase,
    config: Config,
  ) {
    this.everySeconds = config.schemaDriftSeconds;
  }

  onApplicationBootstrap(): void {
    if (this.everySeconds > 0) this.runAfter(this.everySeconds * 500);
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopping.abort();
    if (this.timer) clearTimeout(this.timer);
    await this.current;
  }

  private runAfter(ms: number): void {
    this.timer = setTimeout(() => {
      this.current = this.round().then(() => {
        if (!this.stopping.signal.aborted) this.runAfter(this.everySeconds * 500);
      });
    }, ms);
    this.timer.unref();
  }

  /** Never rejects: without looks the drift is unknown, or as old as it says. */
  private async round(): Promise<void> {
    try {
      const lock = await SessionLock.tryTake(this.state.url, 'schema drift');
      if (lock === null) return;
      try {
        await this.lookAtAll(lock);
      } finally {
        await lock.release();
      }
    } catch (error) {
      if (this.stopping.signal.aborted) return;
      this.log.warn(`not looked at, the next round goes on: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private async lookAtAll(lock: SessionLock): Promise<void> {
    const { names, unknown } = await this.links.names();
    const silent = new Map(unknown.map(({ server, problem }) => [server, problem.detail]));
    const there = new Set(names.map(keyOf));
    for (const look of await this.looks.all()) {
      if (!lock.held) return;
      const why = silent.get(look.server);
      if (why !== undefined) await this.drift.fail(look, why);
      else if (!there.has(keyOf(look))) await this.looks.forget(look);
    }
    const recent = new Set((await this.looks.recent(this.everySeconds * 0.9)).map(keyOf));
    const due = names.filter((link) => !recent.has(keyOf(link)));
    const next = async () => {
      while (lock.held && !this.stopping.signal.aborted) {
        const link = due.shift();
        if (!link) return;
        await this.lookAt(link, lock.lost);
      }
    };
    await Promise.all(Array.from({ length: LINKS_AT_ONCE }, next));
  }

  private async lookAt(link: LinkName, lost: AbortSignal): Promise<void> {
    try {
      await failpoint('links.look');
      await this.within(this.drift.glance(link, lost), lost);
    } catch (error) {
      if (this.stopping.signal.aborted || lost.aborted) return;
      if (!(error instanceof Problem)) throw error;
      if (error.code === 'NOT_FOUND') await this.looks.forget(link);
      else await this.drift.fail(link, error.detail);
    }
  }

  /** Ends with the service as well, which waits for no server, and once another instance may be looking. */
  private async within(look: Promise<void>, lost: AbortSignal): Promise<void> {
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, this.stopping.signal, lost]);
    look.catch(() => {});
    const late = delay(LOOK_MS, undefined, { signal }).then(
      () => {
        throw new Problem('SERVER_TIMEOUT', `both ends were not looked at within ${LOOK_MS} ms`);
      },
      () => {
        if (this.stopping.signal.aborted) throw new Problem('SERVER_TIMEOUT', 'the service is ending');
        if (lost.aborted) throw new Problem('SERVER_TIMEOUT', 'another instance may be looking by now');
      },
    );
    late.catch(() => {});
    try {
      await Promise.race([look, late]);
    } finally {
      over.abort();
    }
  }
}

function keyOf({ server, database, subscription }: LinkName): string {
  return JSON.stringify([server, database, subscription]);
}
