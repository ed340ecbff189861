import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { Config } from '../config/config.js';
import { EmbeddedState } from './embedded/embedded-state.js';
import { exportedClasses } from './exported-classes.js';
import { StateClient } from './state-client.js';

/** Advisory lock (in our own database) under which one instance at a time migrates. */
const MIGRATION_LOCK = 7_238_001;
const MIGRATION_LOCK_POLL_MS = 100;
const OLDEST_STATE_SERVER = 140000;
const STATEMENT_TIMEOUT_MS = 30_000;
/** How much later than its own time-out the server counts as gone without a word. */
const ANSWER_MARGIN_MS = 5_000;
const PING_WITHIN_MS = 2_000;

/**
 * Lockstep's own PostgreSQL: embedded or given by DATABASE_URL, migrated, and open. Opened before the rest of the
 * application is built; closed last.
 */
@Injectable()
export class StateDatabase implements OnApplicationShutdown {
  private constructor(
    readonly url: string,
    readonly dataSource: DataSource,
    private readonly embedded: EmbeddedState | null,
  ) {}

  get isEmbedded(): boolean {
    return this.embedded !== null;
  }

  static async open(config: Config): Promise<StateDatabase> {
    const embedded = config.databaseUrl === null ? await EmbeddedState.open(config.dataDir) : null;
    const url = config.databaseUrl ?? embedded!.url;
    try {
      await migrate(url);
      const dataSource = await (await createDataSource(url)).initialize();
      return new StateDatabase(url, dataSource, embedded);
    } catch (error) {
      await embedded?.close();
      throw error;
    }
  }

  /** Runs `work`, which changes tables of our own database, while no other instance does. */
  async migrating(work: () => Promise<void>): Promise<void> {
    await underMigrationLock(this.url, work);
  }

  /** Throws when our own database does not answer soon. */
  async ping(): Promise<void> {
    const late = new AbortController();
    const tooLate = delay(PING_WITHIN_MS, undefined, { signal: late.signal }).then(() => {
      throw new Error(`no answer within ${PING_WITHIN_MS} ms`);
    });
    tooLate.catch(() => {});
    try {
      await Promise.race([this.dataSource.query('select 1'), tooLate]);
    } finally {
      late.abort();
    }
  }

  async onApplicationShutdown(): Promise<void> {
    if (this.dataSource.isInitialized) await this.dataSource.destroy();
    await this.embedded?.close();
  }
}

/** @param statementTimeoutMs 0: none */
async function createDataSource(url: string, statementTimeoutMs = STATEMENT_TIMEOUT_MS): Promise<DataSource> {
  const here = import.meta.dirname;
  return new DataSource({
    type: 'postgres',
    url,
    schema: 'lockstep',
    applicationName: 'lockstep state',
    entities: await exportedClasses(join(here, '..'), ['.entity.js', '.entity.ts']),
    migrations: await exportedClasses(join(here, '..', '..', 'migrations'), ['.js', '.ts']),
    migrationsTableName: 'migration',
    migrationsTransactionMode: 'each',
    synchronize: false,
    migrationsRun: false,
    poolSize: 12,
    connectTimeoutMS: 10_000,
    extra: {
      Client: StateClient,
      statement_timeout: statementTimeoutMs,
      ...(statementTimeoutMs === 0 ? {} : { query_timeout: statementTimeoutMs + ANSWER_MARGIN_MS }),
      idle_in_transaction_session_timeout: 60_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
    },
  });
}

async function migrate(url: string): Promise<void> {
  await underMigrationLock(url, async (session) => {
    const { rows } = await session.query<{ version: number }>(
      `select current_setting('server_version_num')::int as version`,
    );
    if (rows[0]!.version < OLDEST_STATE_SERVER) {
      throw new Error('DATABASE_URL points at a PostgreSQL older than 14, which Lockstep cannot keep its state in');
    }
    await session.query('create schema if not exists lockstep');
    // A migration of a large table takes as long as it takes.
    const dataSource = await (await createDataSource(url, 0)).initialize();
    try {
      await refuseNewerSchema(dataSource);
      await dataSource.runMigrations();
    } finally {
      await dataSource.destroy();
    }
  });
}

/** Neither TypeORM nor the workflow library takes a lock of its own, so instances that start at once would race. */
async function underMigrationLock(url: string, work: (session: pg.Client) => Promise<void>): Promise<void> {
  const session = new pg.Client({ connectionString: url, application_name: 'lockstep migrate', keepAlive: true });
  session.on('error', () => {});
  await session.connect();
  try {
    // Asked for over and over: CREATE INDEX CONCURRENTLY of the holder would wait for a statement that waits here.
    for (;;) {
      const { rows } = await session.query<{ taken: boolean }>('select pg_try_advisory_lock($1) as taken', [
        MIGRATION_LOCK,
      ]);
      if (rows[0]!.taken) break;
      await delay(MIGRATION_LOCK_POLL_MS);
    }
    await work(session);
  } finally {
    await session.end().catch(() => {});
  }
}

/** An older release must not run on a schema that a newer one has changed. */
async function refuseNewerSchema(dataSource: DataSource): Promise<void> {
  const known = new Set(dataSource.migrations.map((migration) => migration.name ?? migration.constructor.name));
  const [table] = await dataSource.query<{ found: string | null }[]>(
    `select to_regclass('lockstep.migration')::text as found`,
  );
  if (!table?.found) return;
  const applied = await dataSource.query<{ name: string }[]>('select name from lockstep.migration order by id');
  const unknown = applied.filter(({ name }) => !known.has(name)).map(({ name }) => name);
  if (unknown.length > 0) {
    throw new Error(`the state database was migrated by a newer Lockstep (${unknown.join(', ')}); start that release`);
  }
}
