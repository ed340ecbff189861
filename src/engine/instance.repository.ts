import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { Config } from '../config/config.js';
import { SessionLock } from '../storage/session-lock.js';
import { StateDatabase } from '../storage/state-database.js';

/** The running Lockstep processes that share this state, and which of them are dead. */
@Injectable()
export class Instances {
  readonly name: string;
  /** Executor id of this process: a new one at each start, so that an earlier life's work can be told apart. */
  readonly id: string;
  private nameLock: SessionLock | null = null;

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
    this.nameLock = await SessionLock.tryTake(this.state.url, `instance ${this.name}`);
    if (!this.nameLock) {
      throw new Error(`another running instance is called ${this.name}; give each its own LOCKSTEP_INSTANCE_ID`);
    }
    await this.dataSource.query('insert into lockstep.instance (id, name) values ($1, $2)', [this.id, this.name]);
    // Earlier lives of this name are over: we hold its lock.
    await this.dataSource.query(
      `update lockstep.instance set heartbeat_at = '-infinity'
        where name = $1 and id <> $2 and stopped_at is null`,
      [this.name, this.id],
    );
  }

  /** False when the others have declared this instance dead: it must stop acting at once. */
  async heartbeat(): Promise<boolean> {
    const [, alive] = await this.dataSource.query<[unknown[], number]>(
      'update lockstep.instance set heartbeat_at = now() where id = $1 and stopped_at is null',
      [this.id],
    );
    return alive === 1;
  }

  /**
   * Runs `takeOver` for each dead instance and then marks it stopped. The row is locked meanwhile, so only one
   * survivor does it; when that one dies half way, the next does it again.
   */
  async reap(takeOver: (instanceId: string) => Promise<void>): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const dead = await manager.query<{ id: string }[]>(
        `select id from lockstep.instance
          where stopped_at is null and id <> $1 and heartbeat_at < now() - make_interval(secs => $2)
          for update skip locked`,
        [this.id, this.config.instanceTimeoutMs / 1000],
      );
      for (const { id } of dead) {
        await takeOver(id);
        await manager.query('update lockstep.instance set stopped_at = now() where id = $1', [id]);
      }
    });
  }

  /** A clean stop: what is still pending here may be taken over at once. */
  async leave(): Promise<void> {
    await this.dataSource
      .query(`update lockstep.instance set heartbeat_at = '-infinity' where id = $1 and stopped_at is null`, [this.id])
      .catch(() => {});
    await this.nameLock?.release();
  }
}
