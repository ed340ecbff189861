import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import pg from 'pg';
import { freePort, PostgresCluster } from '../src/storage/embedded/postgres-cluster.js';
import type { Stage } from './stage.js';
import type { Endpoint, Login } from './workload/schema.js';

/** Settings of both servers: durability as PostgreSQL ships it, sizes for a small machine. */
const SETTINGS: Record<string, string> = {
  wal_level: 'logical',
  shared_buffers: '96MB',
  max_wal_size: '1GB',
  max_connections: '60',
  max_worker_processes: '16',
  max_wal_senders: '20',
  max_replication_slots: '20',
  max_logical_replication_workers: '8',
  max_sync_workers_per_subscription: '3',
};

/** One PostgreSQL server of the demo, started from the npm binaries; it ends with this process. */
export class DemoServer {
  private constructor(
    readonly major: number,
    readonly port: number,
    readonly password: string,
  ) {}

  readonly host = '127.0.0.1';
  readonly user = 'postgres';

  static async start(stage: Stage, major: number): Promise<DemoServer> {
    const password = randomBytes(12).toString('base64url');
    const dataDir = join(stage.folder, `postgresql-${major}`);
    const cluster = new PostgresCluster({ major, dataDir, user: 'postgres', password, settings: SETTINGS });
    stage.onClose(() => cluster.stop());
    await cluster.create();
    for (let attempt = 1; ; attempt++) {
      const port = await freePort();
      try {
        await cluster.start({ port, diesWithParent: true });
        return new DemoServer(major, port, password);
      } catch (error) {
        // The port may have been taken between the probe and the start.
        if (attempt === 3) throw error;
      }
    }
  }

  endpoint(database: string): Endpoint {
    return { host: this.host, port: this.port, database };
  }

  admin(database = 'postgres'): Endpoint & Login {
    return { ...this.endpoint(database), user: this.user, password: this.password };
  }

  async withClient<T>(database: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client(this.admin(database));
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }

  async createDatabase(name: string): Promise<void> {
    await this.withClient('postgres', (client) => client.query(`create database ${pg.escapeIdentifier(name)}`));
  }
}
