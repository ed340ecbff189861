import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readPublications } from '../../src/postgres/catalog/publications.js';
import * as publication from '../../src/postgres/ddl/publication.ddl.js';
import * as slot from '../../src/postgres/ddl/replication-slot.ddl.js';
import type { Statement } from '../../src/postgres/ddl/statement.js';
import * as identity from '../../src/postgres/ddl/replica-identity.ddl.js';
import * as sequence from '../../src/postgres/ddl/sequence-position.ddl.js';
import * as subscription from '../../src/postgres/ddl/subscription.ddl.js';
import * as change from '../../src/postgres/ddl/table-change.ddl.js';
import type { Session } from '../../src/postgres/session.js';
import { parseLsn } from '../../src/shared/lsn.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { ALONE, type Case, CASES, type Given, HELD, LASTING, OBJECTS } from './statement-lock-cases.js';

const DATABASE = 'statement_locks';

/** By strength. */
const MODES = [
  ...['AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock'],
  ...['ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'],
];
const inWords = (mode: string) =>
  mode
    .replace(/Lock$/, '')
    .replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ')
    .toUpperCase();
const strongest = (modes: string[]): string | null =>
  MODES.map(inWords).findLast((mode) => modes.includes(mode)) ?? null;

interface Locked {
  /** Tables and sequences. */
  tables: string | null;
  /** The object itself. */
  object: string | null;
  /** Catalogs of subscriptions, where others cannot even read them meanwhile. */
  catalogs: string[];
}

/** What the words of a lock say. */
function said(statements: Statement[], major: number): Locked {
  const parts = statements.flatMap(({ lock }) =>
    lock.split(';').flatMap((part) => {
      const [, since = '0', what] = /^ *(?:from (\d+) on )?(.*)$/.exec(part)!;
      return Number(since) <= major ? [what!] : [];
    }),
  );
  const locks = parts.flatMap((part) => {
    const [, mode, on] = /^([A-Z][A-Z ]*[A-Z]) on (.*)$/.exec(part) ?? [];
    return mode === undefined ? [] : [{ mode, on: on! }];
  });
  const catalogs = locks.flatMap(({ on }) => /^pg_\w+/.exec(on)?.[0] ?? []);
  const modesOn = (what: RegExp) =>
    strongest(locks.filter(({ on }) => !on.startsWith('pg_') && what.test(on)).map(({ mode }) => mode));
  return {
    ...{ tables: modesOn(/table|sequence/), object: modesOn(/^the (publication|subscription|type|domain)\b/) },
    catalogs,
  };
}

describe.each(AVAILABLE_MAJORS)('what a statement is said to lock, on PostgreSQL %i', (major) => {
  let server: TestServer;
  let session: Session;
  let given: Given;

  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase(DATABASE);
    session = await server.open(DATABASE);
    await session.execute(OBJECTS);
    const [p] = await readPublications(session, 'p');
    const { host, port, user, password } = server;
    given = {
      version: session.versionNum,
      p: p!,
      connection: `host=${host} port=${port} dbname=${DATABASE} user=${user} password=${password}`,
      lsn: parseLsn((await session.row<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn')).lsn),
    };
  });
  afterAll(async () => {
    await session?.execute('alter subscription off set (slot_name = none)');
    await session?.execute('drop subscription off');
    await session?.close();
    await server?.stop();
  });

  async function locks(there: string[], pid = session.backendPid): Promise<Locked> {
    const rows = await session.rows<{ of: string; mode: string }>(
      `select case when c.relkind in ('r', 'p', 'S') and c.relname not like 'pg\\_%' then 'tables'
                   when c.relname like 'pg\\_%' then c.relname else 'object' end as of, l.mode
         from pg_locks l left join pg_class c on l.locktype = 'relation' and c.oid = l.relation
        where l.pid = $2 and l.granted
          and (c.oid::text = any ($1::text[])
               or l.mode = 'AccessExclusiveLock' and c.relname in ('pg_subscription', 'pg_subscription_rel')
               or (l.locktype = 'object'
                   and l.classid in ('pg_publication'::regclass, 'pg_subscription'::regclass, 'pg_type'::regclass)
                   and l.classid || '/' || l.objid = any ($1::text[])))`,
      [there, pid],
    );
    const of = (what: string) => strongest(rows.filter((row) => row.of === what).map(({ mode }) => inWords(mode)));
    const catalogs = rows.flatMap((row) => (row.of.startsWith('pg_') ? [row.of] : []));
    return { tables: of('tables'), object: of('object'), catalogs };
  }

  /** Relations, publications, subscriptions and types that are there before. */
  async function existing(): Promise<string[]> {
    const rows = await session.rows<{ key: string }>(
      `select c.oid::text as key from pg_class c
        where c.relnamespace = 'app'::regnamespace and c.relkind in ('r', 'p', 'S', 'c')
        union all select 'pg_publication'::regclass::oid || '/' || oid from pg_publication
        union all select 'pg_subscription'::regclass::oid || '/' || oid from pg_subscription
        union all select 'pg_type'::regclass::oid || '/' || oid from pg_type where typnamespace = 'app'::regnamespace`,
    );
    return rows.map(({ key }) => key);
  }

  const known = <T extends Case>(cases: Record<string, T>) =>
    Object.entries(cases).filter(([, { since = 13 }]) => since <= major);

  it.each(known(CASES))('%s', async (_name, { make, before }) => {
    const there = await existing();
    const statements = make(given);
    expect(statements.map(({ transactional }) => transactional)).not.toContain(false);
    await session.execute('begin');
    try {
      if (before) await session.execute(before);
      for (const { sql } of statements) await session.execute(sql);
      expect(await locks(there)).toEqual(said(statements, major));
    } finally {
      await session.execute('rollback');
    }
  });

  it.each(known(ALONE))('%s is refused in a transaction', async (_name, { make, before }) => {
    const [statement] = make(given);
    expect(statement!.transactional).toBe(false);
    await session.execute('begin');
    try {
      if (before) await session.execute(before);
      await expect(session.execute(statement!.sql)).rejects.toMatchObject({ options: { sqlstate: '25001' } });
    } finally {
      await session.execute('rollback');
    }
  });

  it.each(known(LASTING))('%s is not undone by a rollback', async (_name, { make, leaves }) => {
    await session.execute("select pg_create_physical_replication_slot('locks_old', true)");
    const there = await existing();
    // A checkpoint may have come between, and a slot begins at the last one.
    const { lsn } = await session.row<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn');
    const statements = make({ ...given, lsn: parseLsn(lsn) });
    expect(statements.map(({ transactional }) => transactional)).toEqual([false]);
    await session.execute('begin');
    try {
      for (const { sql } of statements) await session.execute(sql);
      expect(await locks(there)).toEqual(said(statements, major));
    } finally {
      await session.execute('rollback');
    }
    const slots = await session.rows<{ name: string }>(
      "select slot_name::text as name from pg_replication_slots where slot_name like 'locks\\_%' order by 1",
    );
    expect(slots.map(({ name }) => name)).toEqual(leaves);
    for (const { name } of slots) await session.rows('select pg_drop_replication_slot($1)', [name]);
  });

  it.each(known(HELD))('%s, held up by its publisher', async (_name, { make, at, there: before, meanwhile }) => {
    const network = await Network.to(server.port);
    const acting = await server.open(DATABASE);
    try {
      await session.execute('create publication changing for table only app.u');
      const held = { ...given, connection: given.connection.replace(/port=\d+/, `port=${network.port}`) };
      for (const { sql } of before?.(held) ?? []) await session.execute(sql);
      if (meanwhile) await session.execute(meanwhile);
      const there = await existing();
      const [statement] = make(held);
      network.freezeAt(at);
      const answer = acting.execute(statement!.sql).catch((error: unknown) => error);
      await eventually(() => network.isFrozen, { within: 20_000, every: 5 });
      expect(await locks(there, acting.backendPid)).toEqual(said([statement!], major));
      await network.cut();
      expect(await answer).toBeInstanceOf(Error);
    } finally {
      network.thaw();
      await network.cut();
      await acting.close();
      const left = await session.rows("select from pg_subscription where subname = 'held'");
      if (left.length > 0) {
        await session.execute('alter subscription held disable');
        await session.execute('alter subscription held set (slot_name = none)');
        await session.execute('drop subscription held');
      }
      await session.execute('drop publication changing');
    }
  });
});

it('every builder of these is among the cases', () => {
  const cases = [CASES, ALONE, LASTING, HELD].flatMap((each) => Object.values<Case>(each));
  const text = cases.map(({ make }) => String(make)).join();
  const modules = { publication, subscription, change, slot, identity, sequence };
  const builders = Object.entries(modules).flatMap(([of, module]) =>
    Object.keys(module).map((name) => `${of}.${name}(`),
  );
  /** Checks, and builders that are others with other words. */
  const none = [
    ...['subscription.askedFor(', 'subscription.canBeAskedFor(', 'subscription.checkPublicationList('],
    ...['publication.takeTablesOut(', 'subscription.changeSubscriptionPublications(', 'change.mendIdentity('],
  ];
  expect(none.filter((name) => !builders.includes(name))).toEqual([]);
  expect(builders.filter((name) => !text.includes(name) && !none.includes(name))).toEqual([]);
});
