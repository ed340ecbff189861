import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'drift_instances';
const STATE = 'drift_instances_state';
const EVERY_SECONDS = 2;

describe('the look at schemas by two instances', () => {
  let [state, publisher, subscriber]: TestServer[] = [];
  let first: Lockstep;
  let second: Lockstep;

  beforeAll(async () => {
    [state, publisher, subscriber] = await Promise.all([18, 16, 17].map((major) => TestServer.shared(major)));
    for (const server of [publisher!, subscriber!]) {
      await server.freshDatabase(DATABASE);
      await server.run(DATABASE, 'create table t (id int primary key)');
    }
    await publisher!.run(DATABASE, 'create publication p for table t');
    await publisher!.withSession(DATABASE, (session) =>
      session.rows(`select pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput')`, [DATABASE]),
    );
    const { host, port, user, password } = publisher!;
    await subscriber!.run(
      DATABASE,
      `create subscription s connection 'host=${host} port=${port} user=${user} password=${password} dbname=${DATABASE}'
         publication p with (create_slot = false, slot_name = ${DATABASE}, copy_data = false)`,
    );
    await state!.freshDatabase(STATE);
    const own = state!.target(STATE);
    first = await Lockstep.start({
      databaseUrl: `postgresql://${own.user}:${own.password}@${own.host}:${own.port}/${STATE}`,
      environment: { LOCKSTEP_SCHEMA_DRIFT_SECONDS: String(EVERY_SECONDS), LOCKSTEP_SECRET_KEY: 'A'.repeat(43) + '=' },
    });
    for (const [name, server] of [
      ['source', publisher!],
      ['sink', subscriber!],
    ] as const) {
      const { host, port, user, password } = server;
      await first.ok('POST', '/v1/servers', { name, host, port, user, password, tls: { mode: 'disable' } });
    }
    // Each look writes the link's row; the shared servers have other links besides.
    await state!.run(
      STATE,
      `create table public.look (at timestamptz not null default clock_timestamp());
       create function public.noted() returns trigger language plpgsql as 'begin insert into public.look default values; return null; end';
       create trigger noted after insert or update on lockstep.schema_look for each row
         when (new.subscriber_database = '${DATABASE}') execute function public.noted()`,
    );
    second = await first.sibling();
  }, 120_000);

  afterAll(async () => {
    await first?.kill();
    await Promise.all([first?.dispose(), second?.dispose()]);
    const end = ['disable', 'set (slot_name = none)'].map((what) => `alter subscription s ${what}`);
    for (const sql of [...end, 'drop subscription s']) await subscriber?.run(DATABASE, sql).catch(() => {});
    await publisher
      ?.withSession(DATABASE, (session) => session.rows('select pg_catalog.pg_drop_replication_slot($1)', [DATABASE]))
      .catch(() => {});
    for (const server of [state, publisher, subscriber]) await server?.stop();
  }, 60_000);

  const looks = () =>
    state!.withSession(STATE, async (session) => {
      const rows = await session.rows<{ ms: string }>(
        `select (pg_catalog.date_part('epoch', at) * 1000)::pg_catalog.text as ms from public.look order by at`,
      );
      return rows.map(({ ms }) => Number(ms));
    });
  const more = async (count: number, within: number) => {
    const before = (await looks()).length;
    await eventually(async () => (await looks()).length >= before + count, { within });
  };
  const holders = () =>
    state!.withSession(STATE, async (session) => {
      const rows = await session.rows<{ pid: number }>(
        `select l.pid from pg_catalog.pg_locks l
          where l.locktype = 'advisory' and l.granted
            and (l.classid::pg_catalog.int8 << 32 | l.objid::pg_catalog.int8)
              = pg_catalog.hashtextextended('schema drift', 7238)`,
      );
      return rows.map(({ pid }) => pid);
    });

  it('is one look in its time, whoever has it', async () => {
    await more(5, 60_000);
    const at = await looks();
    for (const [index, ms] of at.slice(1).entries())
      expect(ms - at[index]!).toBeGreaterThan(EVERY_SECONDS * 0.85 * 1000);
  }, 90_000);

  it('goes on where an instance stands still in the middle of it', async () => {
    first.arm('links.look=wait:15000');
    let [seen, times] = [0, 0];
    // The other one holds it for an instant only.
    await eventually(
      async () => {
        const [pid = 0] = await holders();
        times = pid !== 0 && pid === seen ? times + 1 : 0;
        seen = pid;
        return times >= 5;
      },
      { within: 60_000, every: 300 },
    );
    process.kill(first.pid, 'SIGSTOP');
    try {
      await more(3, 60_000);
      expect(await holders()).not.toContain(seen);
    } finally {
      first.arm();
      process.kill(first.pid, 'SIGCONT');
    }
    await more(2, 30_000);
    await first.kill();
    await first.launch();
  }, 240_000);

  it('goes on at once where an instance dies in the middle of it', async () => {
    first.arm('links.look=kill');
    await first.ended(60_000);
    await more(2, 30_000);
  }, 120_000);
});
