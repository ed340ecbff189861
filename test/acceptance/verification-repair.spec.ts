import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LinkFixture } from '../database/verification/link-fixture.js';
import { MixedLoad } from '../database/verification/mixed-load.js';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

interface Verification {
  id: string;
  state: string;
  verdict: string;
  counters: { findings: number };
}
interface Repair {
  id: string;
  state: string;
  counts: Record<string, number>;
  remaining: number;
  marked: boolean;
  warnings: string[];
  check: { verdict: string; verifiedLsn: string } | null;
}
interface Listed {
  items: {
    id: number;
    schema: string;
    table: string;
    kind: string;
    key: Record<string, string> | null;
    outcome?: string;
  }[];
}
interface Plan {
  statements: { server: string; sql: string; lock: string }[];
  differences: { id: number; outcome: string; reason: string | null }[];
  warnings: string[];
}

/** Rows that the load of `MixedLoad` leaves alone (up to 20), and others. */
const SPARED = `
  delete from sales.orders where id in (1, 2);
  update sales.orders set total = 1.10, note = 'it''s a \\ secret value', attributes = null where id in (3, 4);
  insert into sales.orders (id, customer, note) values (900001, 1, 'extra secret value');
  update sales.items set price = price + 1 where order_id = 5;
  delete from sales.by_index where code = 'c7'`;
const SPARED_ROWS = 9;

describe('a repair', () => {
  const database = 'repair_api';
  let link: LinkFixture;
  let lockstep: Lockstep;

  beforeAll(async () => {
    const servers = [await TestServer.shared(14), await TestServer.shared(AVAILABLE_MAJORS.at(-1)!)] as const;
    link = await LinkFixture.create(...servers, database);
    await link.readers.drop();
    await link.plant(`
      create table sales.audit (who text, tab text, op text, at timestamptz default clock_timestamp());
      create function sales.audit() returns trigger language plpgsql set search_path = sales, pg_catalog as $$
        begin insert into audit values (current_setting('application_name'), tg_table_name, tg_op); return null; end $$;
      create trigger audit after insert or update or delete on sales.orders for each row execute function sales.audit();
      alter table sales.orders enable always trigger audit`);
    lockstep = await Lockstep.start();
    for (const [name, { host, port, user, password }] of Object.entries({ old: servers[0], new: servers[1] })) {
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      await lockstep.ok('POST', '/v1/servers', body);
    }
  }, 120_000);

  afterAll(async () => {
    await lockstep?.dispose();
    await link?.drop();
  });

  async function ended<T extends { state: string }>(path: string): Promise<T> {
    return eventually(
      async () => {
        const found = await lockstep.ok<T>('GET', path);
        return ['succeeded', 'failed', 'cancelled'].includes(found.state) ? found : null;
      },
      { within: 60_000, every: 100 },
    );
  }

  async function verify(): Promise<Verification> {
    const subscriber = { server: 'new', database, subscription: link.subscription };
    const { id } = await lockstep.ok<{ id: string }>('POST', '/v1/verifications', { kind: 'at-rest', subscriber });
    return ended<Verification>(`/v1/verifications/${id}`);
  }

  async function repaired(verification: string, { id }: { id: string }): Promise<Repair> {
    const operation = await ended<{ state: string; problem: object; result: object }>(`/v1/operations/${id}`);
    expect(operation).toMatchObject({ state: 'succeeded', problem: null });
    return lockstep.ok('GET', `/v1/verifications/${verification}/repairs/${id}`);
  }

  /** Whatever is named after us on both servers. */
  async function left(): Promise<string[]> {
    const names = [link.publisher, link.subscriber].map((server) =>
      server.withSession(database, (session) =>
        session.rows<{ name: string }>(
          `select slot_name::text as name from pg_replication_slots where database = current_database() and slot_name like 'lockstep%'
            union all select pubname from pg_publication where pubname like 'lockstep%'
            union all select roname from pg_replication_origin where roname ~ '^lockstep.*[0-9a-f]{32}$'
            union all select application_name from pg_stat_activity
                       where application_name like 'lockstep repair%' and datname = current_database()`,
        ),
      ),
    );
    return (await Promise.all(names)).flat().map(({ name }) => name);
  }

  const touched = () =>
    link.subscriber.withSession(database, (session) =>
      session.rows<{ op: string; n: number }>(
        `with gone as (delete from sales.audit returning *)
         select op, count(*)::int as n from gone where who like 'lockstep%' group by op order by op`,
      ),
    );

  it('is shown by a dry run, whose statements run by hand do it, and nothing is written before', async () => {
    await link.plant(SPARED);
    const found = await verify();
    expect(found).toMatchObject({ verdict: 'different', counters: { findings: SPARED_ROWS } });
    await touched();
    const repair = `/v1/verifications/${found.id}/repair`;
    const plan = await lockstep.ok<Plan>('POST', `${repair}?dryRun=true`, { differences: 'all' });
    const script = await lockstep.request<string>('GET', `${repair}.sql`);
    expect(script.status).toBe(200);
    expect(script.headers.get('content-type')).toBe('application/sql; charset=utf-8');
    expect(plan.differences.map(({ outcome }) => outcome)).toEqual(Array(SPARED_ROWS).fill('planned'));
    const ofRows = plan.statements.filter(({ sql }) => /^(insert into|update|delete from) /.test(sql));
    expect(ofRows).toHaveLength(SPARED_ROWS);
    expect(ofRows.every(({ server, lock }) => server === 'new' && lock.includes('SHARE ROW EXCLUSIVE'))).toBe(true);
    // Only the columns that differ are set.
    expect(ofRows.map(({ sql }) => sql)).toContainEqual(
      expect.stringMatching(
        /^update only "sales"."orders" t set "total" = '[^']+', "note" = (null|'note \d'), "attributes" = '\S+ \d}' where /,
      ),
    );
    expect(plan.warnings).toEqual([
      expect.stringContaining('"sales"."orders": fire on a repair as they do on applying: audit'),
    ]);
    expect(await left()).toEqual([]);
    expect(await touched()).toEqual([]);
    expect(await verify()).toMatchObject({ counters: { findings: SPARED_ROWS } });

    // A row that is written by anybody else, be it with the same values, is not hit any more.
    await link.plant('update sales.orders set total = total where id = 3');
    for (const { sql } of ofRows) await link.plant(`set session_replication_role = replica; ${sql}`);
    expect(await verify()).toMatchObject({ counters: { findings: 1 } });
    const fresh = await lockstep.request<string>('GET', `${repair}.sql`);
    await link.plant(fresh.body);
    expect(await verify()).toMatchObject({ verdict: 'equal' });
  }, 120_000);

  it('writes under load what differs and no other row, says what came of each, and keeps values out of audit and log', async () => {
    const load = MixedLoad.start(link.publisher, database);
    try {
      await link.plant(SPARED);
      const found = await verify();
      await touched();
      const repair = `/v1/verifications/${found.id}/repair`;
      const begun = await lockstep.request<Repair>('POST', repair, { differences: 'all' });
      expect(begun).toMatchObject({ status: 202, body: { counts: { pending: SPARED_ROWS } } });
      expect(begun.headers.get('location')).toBe(`/v1/operations/${begun.body.id}`);
      const done = await repaired(found.id, begun.body);
      expect(done).toMatchObject({
        ...{ state: 'succeeded', remaining: 0, marked: true },
        counts: { repaired: SPARED_ROWS, gone: 0, changed: 0, notRepaired: 0, notRepairable: 0, pending: 0 },
        check: { verdict: 'equal' },
      });
      expect(await touched()).toEqual([
        { op: 'DELETE', n: 1 },
        { op: 'INSERT', n: 2 },
        { op: 'UPDATE', n: 2 },
      ]);
      const rows = await lockstep.ok<Listed>(
        'GET',
        `/v1/verifications/${found.id}/repairs/${begun.body.id}/differences`,
      );
      const listed = await lockstep.ok<Listed>('GET', `/v1/verifications/${found.id}/differences`);
      expect(rows.items.map(({ id, key, outcome }) => [id, key, outcome])).toEqual(
        listed.items.map(({ id, key }) => [id, key, 'repaired']),
      );
      // The same once more finds nothing to do.
      const again = await repaired(found.id, await lockstep.ok<Repair>('POST', repair, { differences: 'all' }));
      expect(again).toMatchObject({ counts: { repaired: 0, gone: SPARED_ROWS }, check: null });
      expect(await touched()).toEqual([]);
      const audit = await lockstep.ok<{ items: { action: string; sql: string[]; details: object }[] }>(
        'GET',
        '/v1/audit-events?limit=200',
      );
      const written = audit.items.find(
        ({ action, sql }) => action === 'repairs.write' && /update only/.test(sql.join()),
      );
      expect(written).toMatchObject({ details: { inserts: 3, deletes: 1, updates: 5 } });
      expect(JSON.stringify(audit.items)).not.toContain('secret value');
      expect(lockstep.log()).not.toContain('secret value');
    } finally {
      await load.stop();
    }
    expect(await left()).toEqual([]);
    expect(await verify()).toMatchObject({ verdict: 'equal' });
  }, 120_000);

  it.each(['repair.opened', 'repair.held', 'repair.written', 'repair.committed'])(
    'killed at %s goes on after the next start, and leaves nothing behind',
    async (point) => {
      await link.plant(SPARED);
      const found = await verify();
      lockstep.arm(`${point}=kill`);
      const begun = await lockstep.ok<Repair>('POST', `/v1/verifications/${found.id}/repair`, { differences: 'all' });
      await lockstep.ended(30_000);
      expect(lockstep.signal).toBe('SIGKILL');
      lockstep.arm();
      await lockstep.launch();
      expect(await repaired(found.id, begun)).toMatchObject({
        counts: { repaired: SPARED_ROWS, gone: 0, pending: 0 },
        check: { verdict: 'equal' },
      });
      expect(await verify()).toMatchObject({ verdict: 'equal' });
      expect(await left()).toEqual([]);
    },
    120_000,
  );

  it('repairs those that were chosen, tells what it cannot, and refuses what makes no sense', async () => {
    await link.plant(`${SPARED}; insert into sales.full_keyless values (99, 'extra', null)`);
    const found = await verify();
    const repair = `/v1/verifications/${found.id}/repair`;
    const { items } = await lockstep.ok<Listed>('GET', `/v1/verifications/${found.id}/differences`);
    const chosen = items
      .filter(({ table, kind }) => table === 'full_keyless' || kind === 'missing')
      .map(({ id }) => id);
    expect(chosen).toHaveLength(4);
    for (const [body, detail] of [
      [{}, 'must be "all" or an array'],
      [{ differences: [] }, 'must be "all" or an array'],
      [{ differences: [-1] }, 'must be "all" or an array'],
      [{ differences: [0, 4711] }, 'the verification lists no difference 4711'],
    ] as const) {
      expect(await lockstep.request('POST', repair, body)).toMatchObject({
        status: 400,
        body: { detail: expect.stringContaining(detail) },
      });
    }
    expect(await lockstep.request('POST', repair, { differences: 'all', direction: 'to-publisher' })).toMatchObject({
      status: 422,
      body: { code: 'NOT_AVAILABLE', errors: [{ pointer: '#/direction' }] },
    });
    const done = await repaired(found.id, await lockstep.ok<Repair>('POST', repair, { differences: chosen }));
    expect(done).toMatchObject({ counts: { repaired: 3, notRepairable: 1 }, check: { verdict: 'equal' } });
    expect(await verify()).toMatchObject({ counters: { findings: SPARED_ROWS + 1 - 3 } });
    await link.plant(`delete from sales.full_keyless where b = 'extra'`);
    await repaired(found.id, await lockstep.ok<Repair>('POST', repair, { differences: 'all' }));
    expect(await verify()).toMatchObject({ verdict: 'equal' });
  }, 120_000);

  it('waits for a table that another session holds, and ends when it is cancelled', async () => {
    await link.plant('update sales.items set price = price + 1 where order_id = 5');
    const found = await verify();
    const blocker = await link.subscriber.open(database);
    try {
      await blocker.execute('begin; lock table sales.items in row exclusive mode');
      const begun = await lockstep.ok<Repair>('POST', `/v1/verifications/${found.id}/repair`, { differences: 'all' });
      await eventually(
        () =>
          link.subscriber.withSession(database, async (session) => {
            const waiting = `select from pg_stat_activity where application_name like 'lockstep repair%' and wait_event_type = 'Lock'`;
            return (await session.rows(waiting)).length > 0;
          }),
        { within: 30_000, every: 20 },
      );
      expect(
        await lockstep.request('POST', `/v1/verifications/${found.id}/repair`, { differences: 'all' }),
      ).toMatchObject({
        ...{ status: 409, body: { code: 'CONFLICT', operation: begun.id } },
      });
      await lockstep.ok('POST', `/v1/operations/${begun.id}/cancel`);
      expect(await ended(`/v1/operations/${begun.id}`)).toMatchObject({ state: 'cancelled' });
      expect(await left()).toEqual([]);
    } finally {
      await blocker.close();
    }
    await repaired(
      found.id,
      await lockstep.ok<Repair>('POST', `/v1/verifications/${found.id}/repair`, { differences: 'all' }),
    );
    expect(await verify()).toMatchObject({ verdict: 'equal' });
  }, 120_000);
});
