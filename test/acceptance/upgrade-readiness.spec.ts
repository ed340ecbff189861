import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type StreamedEvent, streamedEvents } from '../support/event-stream.js';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { stateAsText } from '../support/state-text.js';
import { operationEnds } from '../support/upgrade-proof.js';
import { DATABASE, upgradeIn, UpgradeScene, type UpgradeView } from '../support/upgrade-scene.js';

const NAME = 'ready';
const PATH = `/v1/upgrades/${NAME}`;
/** Long enough for whatever ends by itself, and what a refusal waits for. */
const SLOT_MS = 1_500;

/** A verification of the way back would look at both sides itself before the fence. */
const AFTER = { verification: 'after' };

/** What could only fail inside the fence, or after the opening, is refused before anybody is stopped; one after another. */
describe('an upgrade that is not ready to be switched over', () => {
  let lockstep: Lockstep;
  let scene: UpgradeScene;

  beforeAll(async () => {
    [lockstep, scene] = await Promise.all([Lockstep.start(), UpgradeScene.set(14, 18, { rows: 200 })]);
    await scene.register(lockstep);
    await scene.source.run(
      DATABASE,
      `create role etl login password 'etl it is' in role orders_app;
       create role legacy login password 'legacy on the source' in role orders_app`,
    );
    await scene.target.run('postgres', `create role legacy login password 'legacy on the target'`);
  }, 120_000);
  afterAll(async () => {
    await lockstep?.dispose();
    await scene?.dispose();
  });

  const REQUEST = { writerRoles: ['orders_app', 'etl'], deadlines: { slotMs: SLOT_MS } };
  const GUARD = `alter database ${DATABASE} set default_transaction_read_only = on`;
  const view = () => lockstep.ok<UpgradeView>('GET', PATH);
  const events = (enough: (seen: StreamedEvent[]) => boolean) => streamedEvents(lockstep, `${PATH}/events`, { enough });

  /** Approves, and answers the problem with which the gate is awaited again; no writer was stopped. */
  async function refused(): Promise<{ detail: string; hint?: string }> {
    const open = new Set<string | null>();
    await lockstep.ok('POST', `${PATH}/approve`, { gate: 'switchover' });
    const problem = await eventually(
      async () => {
        const now = await view();
        open.add(now.writeTo);
        return now.awaiting === 'switchover' ? now.problem : null;
      },
      { within: 30_000, every: 50 },
    );
    expect([...open]).toEqual(['source']);
    return problem;
  }

  /** A transaction with an xid in another database of the server, for as long as `work` takes. */
  async function whileBusy(side: 'source' | 'target', work: (pid: number) => Promise<void>): Promise<void> {
    const session = await scene[side].open('postgres');
    try {
      await session.execute('begin; select pg_catalog.txid_current()');
      await work(session.backendPid);
    } finally {
      await session.close();
    }
  }

  /** A login of an application, which takes its settings as the server gives them. */
  async function asApplication<T>(user: string, password: string, sql: string): Promise<T> {
    const { host, port } = scene.target;
    const client = new pg.Client({ host, port, database: DATABASE, user, password });
    await client.connect();
    try {
      return (await client.query(sql)).rows[0] as T;
    } finally {
      await client.end();
    }
  }

  it('a target that lets nobody write is found by the preflight', async () => {
    await scene.target.run('postgres', GUARD);
    const { preflight } = await lockstep.ok<{ preflight: (UpgradeView['preflight'][number] & { remedy: string })[] }>(
      'POST',
      '/v1/upgrades/preflight',
      {
        source: { server: 'source', database: DATABASE },
        target: { server: 'target', database: DATABASE },
        traffic: { kind: 'sql-fence' },
        writerRoles: [...REQUEST.writerRoles, 'nobody'],
      },
    );
    const failed = (name: string) => preflight.find(({ check, passed }) => check === name && !passed);
    expect(failed('target-read-only')).toMatchObject({
      severity: 'blocker',
      observed: 'default_transaction_read_only is on for database orders',
      remedy: 'alter database "orders" reset default_transaction_read_only;',
    });
    // A name that never was is a mistake, unlike one that went later.
    expect(failed('writer-roles')!.observed).toBe('nobody does not exist');
    await scene.target.run('postgres', `alter database ${DATABASE} reset default_transaction_read_only`);
    await scene.begin(lockstep, NAME, REQUEST);
    await upgradeIn(lockstep, NAME, ['awaiting-approval']);
  }, 120_000);

  it('a transaction that a slot on the target would wait for is named', async () => {
    await whileBusy('target', async (pid) => {
      const problem = await refused();
      expect(problem.detail).toContain(`pid ${pid} (postgres`);
      expect(problem.detail).toContain('in database postgres');
    });
  }, 60_000);

  it('a sequence that the target lacks is refused; one that only the target has is told of', async () => {
    await scene.target.run(DATABASE, 'create sequence app.ahead; alter sequence sales.order_number rename to renamed');
    expect((await refused()).detail).toContain('1 sequences are not equal: sales.order_number (missing)');
    await scene.target.run(DATABASE, 'alter sequence sales.renamed rename to order_number');
  }, 60_000);

  it('roles are carried as they are now, barred, before what only they can be granted is asked for', async () => {
    await scene.source.run(
      DATABASE,
      `alter role orders_writer_a password 'rotated since' connection limit 33;
       alter role orders_writer_a set work_mem = '7MB'; alter role legacy password 'rotated as well';
       create role reports; grant reports to orders_writer_a; grant select on app.account to reports;
       create role late login password 'came later' in role orders_app`,
    );
    expect((await refused()).detail).toContain('granted reports SELECT on table app.account');
    const roles = (side: 'source' | 'target') =>
      scene[side].withSession(DATABASE, (session) =>
        session.rows(
          `select r.rolname, r.rolconnlimit, r.rolpassword,
                  array(select g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid where m.member = r.oid order by 1),
                  array(select s.setconfig::text from pg_db_role_setting s where s.setrole = r.oid and s.setdatabase = 0)
             from pg_authid r where rolname in ('orders_writer_a', 'late') order by 1`,
        ),
      );
    const carried = await roles('target');
    expect(carried).toEqual(await roles('source'));
    await expect(asApplication('late', 'came later', 'select 1')).rejects.toThrow('not permitted to log in');
    await scene.target.run(DATABASE, 'grant select on app.account to reports');
    const seen = await events((all) => all.some(({ type }) => type === 'roles-differ'));
    const { changes } = seen.find(({ type }) => type === 'roles-followed')!.data;
    expect(changes).toEqual([
      ...['created reports', 'created late', 'orders_writer_a: connectionLimit, password'],
      ...['late: member of orders_app', 'orders_writer_a: member of reports', 'orders_writer_a: work_mem'],
    ]);
    const told = seen.find(({ type }) => type === 'roles-differ')!.data.roles;
    expect(told).toEqual([
      {
        name: 'legacy',
        differences: ['is not a member of orders_app', 'has another password, or the same with another salt'],
      },
    ]);
    const kept = await stateAsText(lockstep);
    for (const { rolpassword } of carried) expect(kept).not.toContain(String(rolpassword).slice(-40));
  }, 60_000);

  it('a setting of database or role that lets nobody write is refused with what takes it away', async () => {
    const role = 'alter role orders_writer_b';
    await scene.target.run('postgres', `${GUARD}; ${role} set default_transaction_read_only = on`);
    const { detail, hint } = await refused();
    expect(detail).toContain('is on for database orders, role orders_writer_b');
    expect(hint).toContain('alter database "orders" reset default_transaction_read_only;');
    expect(hint).toContain('alter role "orders_writer_b" reset default_transaction_read_only;');
    await scene.target.run(
      'postgres',
      `alter database ${DATABASE} reset default_transaction_read_only; ${role} reset default_transaction_read_only`,
    );
  }, 60_000);

  it('is switched over once all of that is mended, and no writer was stopped before', async () => {
    await scene.source.run(DATABASE, 'drop role etl');
    await lockstep.ok('POST', `${PATH}/approve`, { gate: 'switchover' });
    const { operationId } = await upgradeIn(lockstep, NAME, ['switched']);
    await operationEnds(lockstep, operationId);
    const seen = await events((all) => all.some(({ data }) => data.writeTo === 'target'));
    expect(passage(seen)).toEqual([null, 'target']);
    const told = (type: string) => seen.findLast((event) => event.type === type)?.data;
    expect(told('writer-roles-absent')).toMatchObject({
      side: 'source',
      roles: [{ role: 'etl', reason: 'does not exist' }],
    });
    expect(told('sequences-only-on-target')).toMatchObject({ sequences: [{ schema: 'app', name: 'ahead' }] });
    const write = `update app.account set id = id where false returning current_setting('work_mem')`;
    for (const [user, password] of [
      ['orders_writer_a', 'rotated since'],
      ['late', 'came later'],
    ] as const) {
      await asApplication(user, password, write);
    }
    expect(
      await asApplication('orders_writer_a', 'rotated since', `select current_setting('work_mem') as memory`),
    ).toEqual({ memory: '7MB' });
  }, 60_000);

  it('a rollback is refused for what a slot on the source would wait for, and goes on without it', async () => {
    await whileBusy('source', async (pid) => {
      const { operationId } = await lockstep.ok<UpgradeView>('POST', `${PATH}/rollback`, AFTER);
      await eventually(
        async () => (await lockstep.ok<{ state: string }>('GET', `/v1/operations/${operationId}`)).state === 'failed',
        { within: 30_000, every: 50 },
      );
      const { phase, problem } = await view();
      expect(phase).toBe('switched');
      expect(problem!.detail).toContain(`pid ${pid} (postgres`);
    });
    await scene.target.run(DATABASE, 'drop role etl');
    await lockstep.ok('POST', `${PATH}/rollback`, AFTER);
    const { operationId } = await upgradeIn(lockstep, NAME, ['rolled-back']);
    await operationEnds(lockstep, operationId);
    const seen = await events((all) => all.some(({ data }) => data.phase === 'rolled-back'));
    expect(passage(seen)).toEqual([...[null, 'target'], ...[null, 'source']]);
    expect(seen.some(({ type, data }) => type === 'writer-roles-absent' && data.side === 'target')).toBe(true);
  }, 60_000);
});

/** Where clients were told to write, one after another. */
const passage = (events: StreamedEvent[]) =>
  events.flatMap(({ type, data }) => (type === 'write-to' ? [data.writeTo] : []));
