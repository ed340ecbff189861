import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { bindPair } from '../../src/postgres/replication/bind.js';
import { BindSessionPool } from '../../src/postgres/replication/bind-sessions.js';
import type { BoundPair } from '../../src/postgres/replication/bound-pair.js';
import { ChangeStream } from '../../src/postgres/replication/change-stream.js';
import { createLogicalSlot, dropLogicalSlot } from '../../src/postgres/replication/logical-slot.js';
import {
  UNCHANGED,
  type StreamedTransaction,
  type Tuple,
} from '../../src/postgres/replication/streamed-transaction.js';
import type { Session } from '../../src/postgres/session.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'bind_exact';
const TABLES = [
  { schema: 'public', name: 'accounts' },
  { schema: 'public', name: 'notes' },
];
const ROWS = 200;

describe('binding a publisher snapshot to a subscriber snapshot, 14 to 18 under writes', () => {
  let publisher: TestServer;
  let subscriber: TestServer;
  let publisherStream: ChangeStream;
  let subscriberStream: ChangeStream;
  let subscription: { oid: number; name: string; slotName: string };
  const load = new AbortController();
  let bindSessions: BindSessionPool;
  let writers: Promise<number>[] = [];

  beforeAll(async () => {
    [publisher, subscriber] = await Promise.all([TestServer.shared(14), TestServer.shared(18)]);
    const schema = `create table accounts (id int primary key, balance numeric, big text);
      alter table accounts alter column big set storage external;
      create table notes (id int primary key, body text); alter table notes replica identity full`;
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(DATABASE);
      await server.run(DATABASE, schema);
    }
    await publisher.run(
      DATABASE,
      `insert into accounts select i, i, repeat(i::text, 1500) from generate_series(1, ${ROWS}) i;
       create publication bind_pub for table accounts, notes`,
    );
    await subscriber.run(DATABASE, 'create publication bind_own for table accounts, notes');
    const { host, port, user, password } = publisher;
    await subscriber.run(
      DATABASE,
      `create subscription bind_sub connection 'host=${host} port=${port} user=${user} password=${password} dbname=${DATABASE}'
       publication bind_pub`,
    );
    await eventually(() => subscriber.withSession(DATABASE, tablesReady), { within: 20_000 });
    subscription = await subscriber.withSession(DATABASE, async (session) => {
      const { oid } = await session.row<{ oid: number }>(`select oid from pg_subscription where subname = 'bind_sub'`);
      return { oid, name: 'bind_sub', slotName: 'bind_sub' };
    });
    bindSessions = new BindSessionPool(publisher.target(DATABASE), subscriber.target(DATABASE));
    publisherStream = await stream(publisher, 'bind_verify', 'bind_pub');
    subscriberStream = await stream(subscriber, 'bind_own', 'bind_own');
    writers = [1, 2, 3].map((writer) =>
      publisher.withSession(DATABASE, (session) => write(session, writer, load.signal)),
    );
  });

  afterAll(async () => {
    load.abort();
    const counts = await Promise.all(writers);
    await Promise.all([publisherStream.close(), subscriberStream.close(), bindSessions.close()]);
    await subscriber.run(DATABASE, 'drop subscription bind_sub');
    await publisher.withSession(DATABASE, (session) => dropLogicalSlot(session, 'bind_verify'));
    await subscriber.withSession(DATABASE, (session) => dropLogicalSlot(session, 'bind_own'));
    await Promise.all([publisher.stop(), subscriber.stop()]);
    expect(counts.reduce((a, b) => a + b)).toBeGreaterThan(100);
  });

  async function stream(server: TestServer, slotName: string, publication: string): Promise<ChangeStream> {
    await createLogicalSlot(server.target(DATABASE), slotName, { deadlineMs: 20_000 });
    const opened: ChangeStream = new ChangeStream({
      target: server.target(DATABASE),
      slotName,
      publications: [publication],
      onTransaction: (transaction) => opened.confirm(transaction.endLsn),
    });
    await opened.start();
    return opened;
  }

  function bind(method: 'own-slot' | 'positions') {
    return bindPair({
      publisher: { stream: publisherStream },
      subscriber: { stream: method === 'own-slot' ? subscriberStream : null },
      sessions: bindSessions,
      subscription,
      tables: TABLES,
      deadlineMs: 20_000,
    });
  }

  it.each(['own-slot', 'positions'] as const)('is exact by %s, ten times', async (method) => {
    let naive = 0;
    let rolledForward = 0;
    let inDoubt = 0;
    for (let run = 0; run < 10; run++) {
      const pair = await bind(method);
      try {
        expect(pair.method).toBe(method);
        const { mismatches, naiveMismatches } = await compare(pair);
        expect(mismatches).toEqual([]);
        naive += naiveMismatches;
        rolledForward += pair.rollForward.length;
        inDoubt += pair.inDoubt.length;
        if (method === 'own-slot') expect(pair.inDoubt).toEqual([]);
      } finally {
        await pair.release();
      }
      // The next pair is bound among other transactions.
      const { position } = publisherStream;
      await eventually(() => publisherStream.position > position, { within: 10_000, every: 5 });
    }
    // Without rolling forward the same snapshots differ: the load is heavy enough to test anything.
    process.stdout.write(`${method}: naive ${naive}, rolled forward ${rolledForward}, in doubt ${inDoubt}\n`);
    expect(rolledForward).toBeGreaterThan(0);
  });
});

async function tablesReady(session: Session): Promise<boolean> {
  const { ready } = await session.row<{ ready: boolean }>(
    `select bool_and(srsubstate = 'r') as ready from pg_subscription_rel`,
  );
  return ready;
}

/** Mixed transactions until told to stop; returns how many. */
async function write(session: Session, writer: number, signal: AbortSignal): Promise<number> {
  await session.execute('set search_path = public');
  let count = 0;
  const id = () => 1 + Math.floor(Math.random() * ROWS);
  for (; !signal.aborted; count++) {
    const own = writer * 1_000_000 + count;
    const statements = [
      `update accounts set balance = balance + 0.10 where id = ${id()}`,
      `update accounts set big = repeat('${own}', 1000) where id = ${id()}`,
      `insert into notes values (${own}, 'note ${own}'); update notes set body = null where id = ${own - 3}`,
      `delete from notes where id = ${own - 8}`,
      `update notes set id = -id where id = ${own - 5}`,
      `savepoint s; delete from accounts; rollback to s; update accounts set balance = -balance where id = ${id()}`,
      `insert into accounts values (${own}, 1.00, ''); update accounts set big = null where id = ${own}`,
      `delete from accounts where id = ${own - 7}`,
    ];
    const chosen = statements[count % statements.length]!;
    try {
      await session.execute(`begin; ${chosen}; commit`);
    } catch {
      await session.execute('rollback'); // two writers met; the next transaction will do
    }
  }
  return count;
}

type Contents = Map<string, Tuple>;

async function contents(session: Session, table: string): Promise<Contents> {
  const columns = table === 'accounts' ? 'id::text, balance::text, big' : 'id::text, body';
  const rows = await session.rows(`select ${columns} from public.${table}`);
  return new Map(rows.map((row) => [row.id as string, Object.values(row) as Tuple]));
}

function rollForward(before: Contents, table: string, transactions: readonly StreamedTransaction[]): Contents {
  const state = new Map(before);
  for (const change of transactions.flatMap((transaction) => transaction.changes)) {
    if (change.kind === 'truncate') throw new Error('nothing truncates');
    if (change.relation.name !== table) continue;
    const old = 'old' in change ? change.old?.tuple : undefined;
    if (change.kind === 'delete') {
      state.delete(change.old.tuple[0] as string);
      continue;
    }
    const base = state.get((old ?? change.new)[0] as string);
    if (old) state.delete(old[0] as string);
    const row = change.new.map((value, i) => (value === UNCHANGED ? base![i]! : value));
    state.set(row[0] as string, row);
  }
  return state;
}

function keysOf(transactions: readonly StreamedTransaction[], table: string): Set<string> {
  const keys = new Set<string>();
  for (const change of transactions.flatMap((transaction) => transaction.changes)) {
    if (change.kind === 'truncate' || change.relation.name !== table) continue;
    if ('new' in change) keys.add(change.new[0] as string);
    if ('old' in change && change.old) keys.add(change.old.tuple[0] as string);
  }
  return keys;
}

function differing(a: Contents, b: Contents, except: Set<string>): string[] {
  const keys = new Set([...a.keys(), ...b.keys()]);
  return [...keys].filter((key) => !except.has(key) && JSON.stringify(a.get(key)) !== JSON.stringify(b.get(key)));
}

async function compare(pair: BoundPair) {
  const mismatches: string[] = [];
  let naiveMismatches = 0;
  for (const { name } of TABLES) {
    const imported = await pair.publisher.openSession('compare');
    try {
      const [before, actual] = await Promise.all([contents(imported, name), contents(pair.subscriber.session, name)]);
      const doubtful = keysOf(pair.inDoubt, name);
      const expected = rollForward(before, name, pair.rollForward);
      for (const key of differing(expected, actual, doubtful)) {
        mismatches.push(`${name} ${key}: ${JSON.stringify(expected.get(key))} vs ${JSON.stringify(actual.get(key))}`);
      }
      naiveMismatches += differing(before, actual, new Set()).length;
    } finally {
      await imported.close();
    }
  }
  return { mismatches, naiveMismatches };
}
