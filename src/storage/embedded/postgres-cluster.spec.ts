import { afterAll, describe, expect, it } from '@jest/globals';
import { mkdtempSync, rmSync, chmodSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { freePort, PostgresCluster } from './postgres-cluster.js';

describe('PostgresCluster', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-cluster-'));
  chmodSync(folder, 0o711);
  const cluster = new PostgresCluster({ major: 18, dataDir: join(folder, 'pg'), user: 'lockstep', password: "p'w d" });

  afterAll(async () => {
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function select(port: number, password: string): Promise<unknown> {
    const client = new pg.Client({ host: '127.0.0.1', port, user: 'lockstep', password, database: 'postgres' });
    await client.connect();
    try {
      return (await client.query<{ ok: number }>('select 1 as ok')).rows[0]!.ok;
    } finally {
      await client.end();
    }
  }

  it('creates, starts, is found again by its pid file, restarts after a crash and stops', async () => {
    expect(cluster.exists).toBe(false);
    await cluster.create();
    expect(cluster.exists).toBe(true);
    const port = await freePort();
    await cluster.start({ port, diesWithParent: true });
    expect(await select(port, "p'w d")).toBe(1);
    await expect(select(port, 'wrong')).rejects.toThrow(/password/);

    const running = await new PostgresCluster(cluster.options).running();
    expect(running).toMatchObject({ port, ready: true });

    await cluster.stop('immediate');
    expect(await cluster.running()).toBeNull();
    await cluster.start({ port, diesWithParent: true });
    expect(await select(port, "p'w d")).toBe(1);
    await cluster.stop();
    expect(await cluster.running()).toBeNull();
  });
});
