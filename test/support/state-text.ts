import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { PostgresCluster } from '../../src/storage/embedded/postgres-cluster.js';
import type { Lockstep } from './lockstep.js';

/** Every row of every table of the embedded state, the engine's schema included, as text: to be searched for secrets. */
export function stateAsText(lockstep: Lockstep): Promise<string> {
  return inState(lockstep, async (client) => {
    const tables = await client.query<{ name: string }>(
      `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname in ('lockstep', 'dbos')`,
    );
    let text = '';
    for (const { name } of tables.rows) {
      const rows = await client.query<{ row: string }>(`select t::text as row from ${name} t`);
      text += rows.rows.map(({ row }) => row).join('\n');
    }
    return text;
  });
}

/** As if every operation had been asked for that much earlier: what waits for time to pass need not. */
export async function ageOperations(lockstep: Lockstep, seconds: number): Promise<void> {
  await inState(lockstep, (client) =>
    client.query('update lockstep.operation set created_at = created_at - make_interval(secs => $1)', [seconds]),
  );
}

async function inState<T>(lockstep: Lockstep, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const dataDir = join(lockstep.dataDir, 'state');
  const running = await new PostgresCluster({ major: 18, dataDir, user: '', password: '' }).running();
  const client = new pg.Client({
    host: '127.0.0.1',
    port: running!.port,
    user: 'lockstep',
    password: readFileSync(join(lockstep.dataDir, 'state-password'), 'utf8').trim(),
    database: 'postgres',
  });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
