import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { Config } from '../config/config.js';
import { SessionLock } from '../storage/session-lock.js';
import { StateDatabase } from '../storage/state-database.js';

/** Serialises taking over: of work that was just resumed nobody else may think that it has no carrier. */
const TAKE_OVER_LOCK = 7_238_003;

/** The running Lockstep processes that share this state, and which of them are dead. */
@Injectable()
export class Instances {
  readonly name: string;
  /** Executor id of this process: a new one at each start, so that an earlier life's work can be told apart. */
  readonly id: string;
  private nameLock: SessionLock | null = null;
  private taking: Promise<void> | null = null;
  /** Of our own heartbeats, on the process's clock: the last, and the first of those that followed without a gap. */
  private beats: { last: number; first: number } | null = null;

  constructor(
    private readonly dataSource: DataSource,
    private readonly state: StateDatabase,
    private readonly config: Config,
  ) {
    const life = randomUUID().slice(0, 8);
    this.name = config.instanceId ?? (state.isEmbedded ? 'embedded' : `unnamed-${life}`);
    this.id = `${this.name}:${life}`;
  }

  async join(): Promise<void> {
    if (!(await this.takeName())) {
      throw new Error(`another running instance is called ${this.name}; give each its own LOCKSTEP_INSTANCE_ID`);
    }
    await this.dataSource.query('insert into lockstep.instance (id, name) values ($1, $2)', [this.id, this.name]);
    // Earlier lives of this name are over: we hold its lock.
    await this.dataSource.query(
      `update lockstep.instance set heartbeat_at = '-infinity'
        where name = $1 and id <> $2 and stopped_at is null`,
      [this.name, this.id],
    );
    this.noteBeat();
  }

  private async takeName(): Promise<boolean> {
    this.nameLock = await SessionLock.tryTake(this.state.url, `instance ${this.name}`);
    return this.nameLock !== null;
  }

  /**
   * False when the others have declared this instance dead, or another has come under its name: it must stop acting at
   * once.
   */
  async heartbeat(): Promise<boolean> {
    const [, alive] = await this.dataSource.query<[unknown[], number]>(
      `update lockstep.instance set heartbeat_at = now()
        where id = $1 and stopped_at is null and heartbeat_at > '-infinity'`,
      [this.id],
    );
    this.noteBeat();
    if (alive === 1 && !this.nameLock?.held) this.takeNameAgain();
    return alive === 1;
  }

  /**
   * Its session may have been cut. While our old one is not over for the server, the next beat tries again; none waits
   * for it.
   */
  private takeNameAgain(): void {
    this.taking ??= this.takeName()
      .then(
        () => {},
        () => {},
      )
      .finally(() => (this.taking = null));
  }

  /**
   * Marks dead instances stopped and runs `takeOver` for what they left; it is told how to ask which instances live.
   * Until our own heartbeats have gone through for a whole timeout, only those that left or came again are dead. One
   * survivor does it at a time, and what it marked is undone when it dies half way: the next one does it again.
   */
  async reap(takeOver: (living: () => Promise<Set<string>>) => Promise<void>): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      // A process that is paused in here must not keep the others from taking its own work over.
      await manager.query(`set local idle_in_transaction_session_timeout = '5s'`);
      const [lock] = await manager.query<{ taken: boolean }[]>('select pg_try_advisory_xact_lock($1) as taken', [
        TAKE_OVER_LOCK,
      ]);
      if (!lock!.taken) return;
      await manager.query(
        `update lockstep.instance set stopped_at = now() where id in (
           select id from lockstep.instance
            where stopped_at is null and id <> $1
              and heartbeat_at <= case when $3 then now() - make_interval(secs => $2) else '-infinity' end
              for update skip locked)`,
        [this.id, this.config.instanceTimeoutMs / 1000, this.mayJudge()],
      );
      await takeOver(async () => {
        const rows = await manager.query<{ id: string }[]>('select id from lockstep.instance where stopped_at is null');
        return new Set(rows.map(({ id }) => id));
      });
    });
  }

  /** Beats come five times in a timeout; when they came late, nobody else's can be expected to be in time. */
  private noteBeat(): void {
    const now = performance.now();
    const gap = this.beats === null || now - this.beats.last > this.config.instanceTimeoutMs / 2;
    this.beats = { last: now, first: gap ? now : this.beats!.first };
  }

  /**
   * Whether a silent instance is to be taken for dead: only once everybody has had a whole timeout in which our own
   * database answered, or after an outage of it the first to return would declare all others dead.
   */
  private mayJudge(): boolean {
    return this.beats !== null && this.beats.last - this.beats.first >= this.config.instanceTimeoutMs;
  }

  /** A clean stop: what is still pending here may be taken over at once. */
  async leave(): Promise<void> {
    await this.dataSource
      .query(`update lockstep.instance set heartbeat_at = '-infinity' where id = $1 and stopped_at is null`, [this.id])
      .catch(() => {});
    await this.nameLock?.release();
  }
}
