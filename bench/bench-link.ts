import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ConnectionTarget } from '../src/postgres/connection.js';
import { literal } from '../src/postgres/quoting.js';
import { withSession } from '../src/postgres/session.js';
import { freePort, PostgresCluster } from '../src/storage/embedded/postgres-cluster.js';
import { LinkReaders } from '../src/verification/link/link-readers.js';

export const DATABASE = 'bench';

/** The whole table fits the cache: what is measured is computing, not the disk. */
const SETTINGS: Record<string, string> = {
  wal_level: 'logical',
  shared_buffers: '1GB',
  max_wal_size: '8GB',
  fsync: 'off',
  autovacuum: 'off',
};

const USER = 'postgres';
const PASSWORD = 'bench';

/** Two servers from the npm binaries with one replicating table between them, and readers on both ends. */
export class BenchLink {
  private readonly folder = mkdtempSync(join(tmpdir(), 'lockstep-bench-'));
  private readonly clusters: PostgresCluster[] = [];
  private opened: LinkReaders | null = null;

  private constructor() {
    // As root the servers run under another account, which has to reach its data folder.
    chmodSync(this.folder, 0o711);
  }

  publisher: ConnectionTarget;
  subscriber: ConnectionTarget;

  static async create(from: number, to: number, table: { definition: string; rows: string }): Promise<BenchLink> {
    const link = new BenchLink();
    try {
      link.publisher = await link.start('publisher', from);
      link.subscriber = await link.start('subscriber', to);
      await link.replicate(table);
      return link;
    } catch (error) {
      await link.close();
      throw error;
    }
  }

  get readers(): LinkReaders {
    return this.opened!;
  }

  async close(): Promise<void> {
    await this.opened?.close();
    await Promise.all(this.clusters.map((cluster) => cluster.stop('immediate')));
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async start(name: string, major: number): Promise<ConnectionTarget> {
    const dataDir = join(this.folder, name);
    const cluster = new PostgresCluster({ major, dataDir, user: USER, password: PASSWORD, settings: SETTINGS });
    await cluster.create();
    this.clusters.push(cluster);
    const port = await freePort();
    await cluster.start({ port, diesWithParent: true });
    const target = { host: '127.0.0.1', port, user: USER, password: PASSWORD, tls: { mode: 'disable' as const } };
    await withSession({ ...target, database: 'postgres' }, {}, (session) =>
      session.execute(`create database ${DATABASE}`),
    );
    return { ...target, database: DATABASE };
  }

  private async replicate({ definition, rows }: { definition: string; rows: string }): Promise<void> {
    const untimed = { statementTimeoutMs: 0 };
    const { host, port } = this.publisher;
    const connection = `host=${host} port=${port} user=${USER} password=${PASSWORD} dbname=${DATABASE}`;
    await withSession(this.publisher, untimed, async (session) => {
      await session.execute(`${definition}; ${rows}; create publication bench_pub for all tables`);
      await session.execute('vacuum analyze');
    });
    await withSession(this.subscriber, untimed, async (session) => {
      await session.execute(definition);
      await session.execute(`create subscription bench_sub connection ${literal(connection)} publication bench_pub`);
      const unready = `select from pg_catalog.pg_subscription_rel where srsubstate <> 'r'`;
      while ((await session.rows(unready)).length > 0) await delay(200);
      await session.execute('vacuum analyze');
    });
    this.opened = await LinkReaders.open({
      ...{ readerId: 'bench', publisher: this.publisher, subscriber: this.subscriber, subscription: 'bench_sub' },
      ...{ confirm: 'as-read', deadlineMs: 60_000 },
    });
  }
}
