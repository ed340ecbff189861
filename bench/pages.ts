import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { LockstepProcess } from '../demo/lockstep-process.js';
import { Stage } from '../demo/stage.js';
import { literal } from '../src/postgres/quoting.js';
import { type Session, withSession } from '../src/postgres/session.js';
import { freePort, PostgresCluster } from '../src/storage/embedded/postgres-cluster.js';
import { median, printTable, seconds } from './report.js';

const DATABASE = 'bench';
const PAGE = 200;
/** What a page of any list may take. */
const MOST_SECONDS = 1;
const COUNTS = { tables: 10_000, publications: 1_000, subscriptions: 300, slots: 100 };
const TABLES_AT_ONCE = 500;
/** Pages before one that is far down its list. */
const DEEP = 40;

const SETTINGS: Record<string, string> = {
  ...{ wal_level: 'logical', shared_buffers: '512MB', fsync: 'off', max_replication_slots: '200' },
};

const IN_DATABASE = `/v1/servers/bench/databases/${DATABASE}`;

/** Each list, and the same names as a bare query of the catalog reads them: no page can be faster. */
const LISTS: readonly { list: string; path: string; limit: string; after?: number }[] = [
  { list: 'tables', path: `${IN_DATABASE}/tables`, limit: relations("'r', 'p'") },
  {
    ...{ list: `tables, page ${DEEP + 1}`, path: `${IN_DATABASE}/tables`, after: DEEP },
    limit: relations("'r', 'p'", DEEP * PAGE),
  },
  {
    ...{ list: 'tables of a publication', path: `${IN_DATABASE}/publications/every/tables` },
    limit: relations("'r', 'p'"),
  },
  { list: 'publications', path: `${IN_DATABASE}/publications`, limit: names('pg_publication', 'pubname') },
  { list: 'sequences', path: `${IN_DATABASE}/sequences`, limit: relations("'S'") },
  {
    ...{ list: 'replication slots', path: '/v1/servers/bench/replication-slots' },
    limit: `select slot_name from pg_catalog.pg_replication_slots order by slot_name limit ${PAGE}`,
  },
  { list: 'subscriptions', path: `${IN_DATABASE}/subscriptions`, limit: names('pg_subscription', 'subname') },
  { list: 'links', path: '/v1/links', limit: names('pg_subscription', 'subname') },
];

function relations(kinds: string, offset = 0): string {
  return `select c.oid, n.nspname, c.relname from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
   where c.relkind in (${kinds}) and n.nspname = 'public' order by n.nspname, c.relname limit ${PAGE} offset ${offset}`;
}

function names(catalog: string, name: string): string {
  return `select oid, ${name} from pg_catalog.${catalog} order by ${name} limit ${PAGE}`;
}

/** A page of each list as HTTP answers it, beside a bare query of its names and the second it may take. */
export async function benchPages({ rounds, to }: { rounds: number; to: number }): Promise<void> {
  const stage = new Stage();
  try {
    const server = await startServer(stage, to);
    const lockstep = await LockstepProcess.start(stage);
    await lockstep.api.post('/v1/servers', { ...server, name: 'bench', database: 'postgres' });
    const times = new Map(LISTS.map(({ list }) => [list, { page: [] as number[], limit: [] as number[] }]));
    const cursors = new Map<string, string>();
    for (const { list, path, after = 0 } of LISTS) cursors.set(list, await cursorAfter(lockstep, path, after));
    await withSession({ ...server, database: DATABASE }, {}, async (session) => {
      for (let round = 0; round <= rounds; round++) {
        for (const { list, path, limit } of LISTS) {
          const bare = await seconds(() => session.rows(limit));
          const page = await seconds(() => read(lockstep, path, cursors.get(list)!));
          // The first round fills the caches.
          if (round === 0) continue;
          times.get(list)!.limit.push(bare);
          times.get(list)!.page.push(page);
        }
      }
    });
    console.log(
      `\npages of ${PAGE}: ${COUNTS.tables} tables and sequences, ${COUNTS.publications} publications, ` +
        `${COUNTS.subscriptions} subscriptions, ${COUNTS.slots} slots, ${to}, ${availableParallelism()} cores, ` +
        `medians of ${rounds} rounds\n`,
    );
    printTable([
      ['', 'page, ms', 'bare query, ms', 'of the bare query', `bar: at most ${MOST_SECONDS * 1000} ms`],
      ...LISTS.map(({ list }) => row(list, times.get(list)!)),
    ]);
  } finally {
    await stage.close();
  }
}

function row(list: string, { page, limit }: { page: number[]; limit: number[] }): string[] {
  const taken = median(page);
  const ratio = median(page.map((time, round) => time / limit[round]!));
  const bar = taken <= MOST_SECONDS ? 'held' : `missed by ${((taken - MOST_SECONDS) * 1000).toFixed(0)} ms`;
  return [list, (taken * 1000).toFixed(0), (median(limit) * 1000).toFixed(1), `${ratio.toFixed(0)}x`, bar];
}

/** Of the query, for the page after so many. */
async function cursorAfter(lockstep: LockstepProcess, path: string, pages: number): Promise<string> {
  let cursor = '';
  for (let page = 0; page < pages; page++) {
    const { nextCursor } = await lockstep.api.get<{ nextCursor: string }>(`${path}?limit=${PAGE}${cursor}`);
    cursor = `&cursor=${encodeURIComponent(nextCursor)}`;
  }
  return cursor;
}

async function read(lockstep: LockstepProcess, path: string, cursor: string): Promise<void> {
  const { items } = await lockstep.api.get<{ items: unknown[] }>(`${path}?limit=${PAGE}${cursor}`);
  if (items.length < Math.min(PAGE, COUNTS.slots)) throw new Error(`${path} has ${items.length} items only`);
}

async function startServer(stage: Stage, major: number) {
  const [user, password] = ['postgres', 'bench'];
  const dataDir = join(stage.folder, 'server');
  const cluster = new PostgresCluster({ major, dataDir, user, password, settings: SETTINGS });
  stage.onClose(() => cluster.stop('immediate'));
  await cluster.create();
  const port = await freePort();
  await cluster.start({ port, diesWithParent: true });
  const target = { host: '127.0.0.1', port, user, password, tls: { mode: 'disable' as const } };
  const untimed = { statementTimeoutMs: 0 };
  await withSession({ ...target, database: 'postgres' }, untimed, (session) =>
    session.execute(`create database ${DATABASE}`),
  );
  const connection = `host=127.0.0.1 port=${port} user=${user} password=${password} dbname=${DATABASE}`;
  await withSession({ ...target, database: DATABASE }, untimed, (session) => fill(session, connection));
  return target;
}

async function fill(session: Session, connection: string): Promise<void> {
  for (let from = 1; from <= COUNTS.tables; from += TABLES_AT_ONCE) {
    await session.execute(`do $$ begin for i in ${from}..${from + TABLES_AT_ONCE - 1} loop
      execute format('create table public.t%s (id bigserial primary key, note text)', i); end loop; end $$`);
  }
  await session.execute('create publication every for all tables');
  await session.execute(`do $$ begin for i in 1..${COUNTS.publications} loop
    execute format('create publication p%s for table public.t%s, public.t%s', i, i, i + 5000); end loop; end $$`);
  await session.execute(`do $$ begin for i in 1..${COUNTS.slots} loop
    perform pg_catalog.pg_create_physical_replication_slot('slot_' || i); end loop; end $$`);
  await session.execute(`do $$ begin for i in 1..${COUNTS.subscriptions} loop
    execute format('create subscription s%s connection %L publication p%s with (connect = false, slot_name = none)',
                   i, ${literal(connection)}, i); end loop; end $$`);
  // The catalogs alone: the tables themselves are empty.
  for (const catalog of ['pg_class', 'pg_attribute', 'pg_index', 'pg_depend', 'pg_publication_rel', 'pg_sequence']) {
    await session.execute(`vacuum analyze pg_catalog.${catalog}`);
  }
}
