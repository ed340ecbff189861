import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ConnectionTarget } from '../../src/postgres/connection.js';
import { Session } from '../../src/postgres/session.js';
import type { VerifiableLink } from '../../src/verification/at-rest/verify-link.js';
import { verifyLink } from '../../src/verification/at-rest/verify-link.js';
import { LinkReaders } from '../../src/verification/link/link-readers.js';
import { eventually } from '../support/eventually.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { LinkFixture } from './verification/link-fixture.js';

const ROLE = 'verification_impatient';

/** Everything a role can be given that would end our sessions or change what they print. */
function impatience(major: number): string {
  const settings: Record<string, string> = {
    statement_timeout: '100ms',
    lock_timeout: '1ms',
    idle_in_transaction_session_timeout: '100ms',
    // These a session can lift only once it is open.
    ...(major >= 14 ? { idle_session_timeout: '2s' } : {}),
    ...(major >= 17 ? { transaction_timeout: '2s' } : {}),
    default_transaction_read_only: 'on',
    default_transaction_isolation: 'serializable',
    datestyle: 'German',
    timezone: 'Asia/Tokyo',
    bytea_output: 'escape',
    extra_float_digits: '-3',
  };
  return Object.entries(settings)
    .map(([name, value]) => `alter role ${ROLE} set ${name} = '${value}'`)
    .join('; ');
}

describe('a verification that others get in the way of', () => {
  const database = 'verification_interference';
  let publisher: TestServer;
  let subscriber: TestServer;
  let link: LinkFixture;

  beforeAll(async () => {
    publisher = await TestServer.shared(AVAILABLE_MAJORS.at(-1)!);
    subscriber = await TestServer.shared(17);
    link = await LinkFixture.create(publisher, subscriber, database);
    for (const server of [publisher, subscriber]) {
      await server.run('postgres', `drop role if exists ${ROLE}; create role ${ROLE} superuser login password 'p'`);
      await server.run('postgres', impatience(server.major));
    }
  }, 120_000);

  afterAll(async () => {
    await link?.drop();
    for (const server of [publisher, subscriber]) await server?.run('postgres', `drop role if exists ${ROLE}`);
  });

  const seenBy = ({ ends, subscription, positionsReason, publisherPosition }: LinkReaders) => ({
    ...{ ends, subscription, positionsReason, publisherPosition },
  });

  /** The link's readers, with something done once a pair is bound and before anything is read in it. */
  function interrupted(readers: LinkReaders, atBind: (bind: number) => Promise<void>): VerifiableLink {
    let binds = 0;
    return {
      ...seenBy(readers),
      bind: async (tables, options) => {
        const pair = await readers.bind(tables, options);
        await atBind(++binds);
        return pair;
      },
    };
  }

  const only = (...names: string[]) => names.map((name) => ({ schema: 'sales', name }));

  async function holds(server: TestServer, condition: string): Promise<void> {
    await server.withSession(database, (session) =>
      eventually(async () => (await session.rows(`select where ${condition}`)).length > 0, { within: 30_000 }),
    );
  }

  it('is not ended by timeouts of the role, nor misled by what it prints', async () => {
    const as = (target: ConnectionTarget) => ({ ...target, user: ROLE, password: 'p' });
    const readers = await LinkReaders.open({
      ...{ readerId: `${database}_impatient`, publisher: as(publisher.target(database)) },
      ...{ subscriber: as(subscriber.target(database)), subscription: link.subscription },
      ...{ confirm: 'as-read', deadlineMs: 30_000 },
    });
    const blocker = await subscriber.open(database);
    try {
      // Applying waits for the lock, and binding for what is applied.
      await blocker.execute('begin; lock table sales.items in share mode');
      await publisher.run(database, `insert into sales.items select i, 0, 'many', 1 from generate_series(1, 30000) i`);
      const aged = (session: string) =>
        `exists (select from pg_stat_activity where application_name = 'lockstep bind ${session}' and datname = current_database()
            and usename = '${ROLE}' and xact_start < clock_timestamp() - interval '2500 milliseconds')`;
      const verification = verifyLink({
        readers: interrupted(readers, () => holds(subscriber, aged('subscriber'))),
        tables: null,
      });
      await Promise.race([holds(publisher, aged('publisher')), verification]);
      await blocker.execute('commit');
      expect(await verification).toMatchObject({ verdict: 'equal', differences: [], atOneLsn: true });
      expect(readers.failed).toBeNull();
    } finally {
      await blocker.close();
      await readers.drop();
    }
  }, 90_000);

  it('makes way for a session that waits to lock a table, and reads the table after it', async () => {
    const waiting = await Session.open(publisher.target(database), { lockTimeoutMs: 0, statementTimeoutMs: 0 });
    try {
      let locked = Promise.resolve();
      const readers = interrupted(link.readers, async (bind) => {
        if (bind > 1) return;
        locked = waiting.execute('begin; lock table sales.items in access exclusive mode; commit');
        await holds(publisher, `exists (select from pg_locks where pid = ${waiting.backendPid} and not granted)`);
      });
      const result = await verifyLink({ readers, tables: only('items', 'by_index') });
      expect(result).toMatchObject({ verdict: 'equal', atOneLsn: false });
      await locked;
    } finally {
      await waiting.close();
    }
  }, 60_000);

  it('goes by positions where a VACUUM holds a table of the subscriber, and waits for none where nothing is new', async () => {
    const ends = {
      readerId: 'interference_vacuum',
      publisher: publisher.target(database),
      subscriber: subscriber.target(database),
      subscription: link.subscription,
      confirm: 'as-read' as const,
      deadlineMs: 30_000,
    };
    const vacuum = await subscriber.open(database);
    const opened: LinkReaders[] = [];
    const open = async () => {
      opened.push(await LinkReaders.open(ends));
      return opened.at(-1)!;
    };
    try {
      await vacuum.execute('begin; lock table sales.items in share update exclusive mode');
      const without = await open();
      expect([without.readsSubscriber, without.positionsReason]).toEqual([false, expect.stringContaining('lock')]);
      await without.close();
      await vacuum.execute('rollback');
      const first = await open();
      expect(first.readsSubscriber).toBe(true);
      await first.close();
      await vacuum.execute('begin; lock table sales.items in share update exclusive mode');
      const again = await open();
      expect(again.readsSubscriber).toBe(true);
    } finally {
      await vacuum.close();
      for (const readers of opened) await readers.close();
      await opened.at(-1)?.drop();
    }
  }, 60_000);

  it('never makes a session that locks tables in another order the victim of a deadlock', async () => {
    const other = await Session.open(publisher.target(database), { lockTimeoutMs: 0, statementTimeoutMs: 0 });
    try {
      const readers: VerifiableLink = {
        ...seenBy(link.readers),
        bind: async (tables, options) => {
          await other.execute('begin; lock table sales.orders in access exclusive mode');
          const pair = link.readers.bind(tables, options);
          const binding = `exists (select from pg_stat_activity where application_name = 'lockstep bind publisher'
             and datname = current_database() and query like '%lock table%')`;
          await holds(publisher, binding);
          await other.execute('lock table sales.by_index, sales.items in access exclusive mode; commit');
          return pair;
        },
      };
      expect(await verifyLink({ readers, tables: only('by_index', 'items', 'orders') })).toMatchObject({
        verdict: 'equal',
        atOneLsn: true,
      });
    } finally {
      await other.close();
    }
  }, 60_000);

  it('does not fail for a table that is dropped before it is bound', async () => {
    let binds = 0;
    const readers: VerifiableLink = {
      ...seenBy(link.readers),
      bind: async (tables, options) => {
        if (++binds === 1) await link.plant('alter table sales.full_keyed rename to elsewhere');
        return link.readers.bind(tables, options);
      },
    };
    try {
      const { tables } = await verifyLink({ readers, tables: only('full_keyed', 'items') });
      expect(tables.map(({ name, verdict, reason }) => [name, verdict, reason])).toEqual([
        ['full_keyed', 'not-comparable', expect.stringContaining('does not')],
        ['items', 'equal', null],
      ]);
    } finally {
      await link.plant('alter table sales.elsewhere rename to full_keyed');
    }
  }, 60_000);

  it('does not keep WAL while a pair is held', async () => {
    const readers = interrupted(link.readers, async () => {
      const { lsn } = await publisher.withSession(database, async (session) => {
        await session.execute(`update sales.orders set customer = customer + 1 where id < 500`);
        return session.row<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn');
      });
      await publisher.run(database, `update sales.orders set customer = customer + 1 where id < 500`);
      await holds(
        publisher,
        `(select confirmed_flush_lsn from pg_replication_slots where slot_name = 'lockstep_v_${database}') >= '${lsn}'`,
      );
    });
    expect(await verifyLink({ readers, tables: only('orders') })).toMatchObject({ verdict: 'equal' });
  }, 60_000);
});

describe('a publisher that lets snapshots grow too old', () => {
  const database = 'verification_too_old';
  let publisher: TestServer;
  let link: LinkFixture;

  beforeAll(async () => {
    publisher = await TestServer.start(14, { old_snapshot_threshold: '0' });
    link = await LinkFixture.create(publisher, await TestServer.shared(AVAILABLE_MAJORS.at(-1)!), database);
  }, 120_000);

  afterAll(async () => {
    await link?.drop();
    await publisher?.stop();
  });

  it('is not comparable', async () => {
    const { tables, verdict } = await link.verify();
    expect(verdict).toBe('not-comparable');
    for (const { reason } of tables) expect(reason).toContain('old_snapshot_threshold is 0 on the publisher');
  });
});
