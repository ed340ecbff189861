import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { Session } from '../../src/postgres/session.js';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { TestServer } from '../support/postgres-fleet.js';
import { type UpgradeView, upgradeIn } from '../support/upgrade-scene.js';

const STATE = 'retention_state';

/** Ages everything that is there, as if nobody had looked for so many days. */
const AGE = `
update lockstep.operation set created_at = created_at - interval '100 days', started_at = started_at - interval '100 days',
  finished_at = finished_at - interval '100 days';
update lockstep.operation_event set at = at - interval '100 days';
update lockstep.upgrade set created_at = created_at - interval '100 days', updated_at = updated_at - interval '100 days';
update lockstep.upgrade_event set at = at - interval '100 days';
update lockstep.audit_event set at = at - interval '100 days';
update lockstep.idempotency_key set created_at = created_at - interval '100 days'`;

describe('retention', () => {
  let state: TestServer;
  let managed: TestServer;
  let first: Lockstep;
  let second: Lockstep;
  let database: Session;

  const count = async (sql: string, parameters: unknown[] = []) =>
    Number((await database.row<{ count: string }>(`select count(*) from ${sql}`, parameters)).count);

  /** Everything the workflow library keeps of these workflows, in whatever table. */
  async function workflowRows(ids: string[]): Promise<number> {
    const tables = await database.rows<{ table: string; column: string }>(
      `select table_name as table, column_name as column from information_schema.columns
        where table_schema = 'dbos' and column_name in ('workflow_uuid', 'destination_uuid', 'workflow_id')`,
    );
    expect(tables.length).toBeGreaterThan(3);
    let rows = 0;
    for (const { table, column } of tables) rows += await count(`dbos.${table} where "${column}" = any ($1)`, [ids]);
    return rows;
  }

  const operationsOf = async (upgrade: string): Promise<string[]> =>
    (
      await database.rows<{ id: string }>(
        'select id from lockstep.operation where subject_id = $1 order by created_at',
        [upgrade],
      )
    ).map(({ id }) => id);

  /** A phase is told of before the operation and its workflow have ended. */
  const atRest = () =>
    eventually(
      async () =>
        (await count('lockstep.operation where finished_at is null')) === 0 &&
        (await count(`dbos.workflow_status where status not in ('SUCCESS', 'ERROR')`)) === 0,
      { within: 30_000 },
    );

  /** An upgrade that its preflight stops: all that it needs is two databases. */
  async function blocked(name: string, from: string, to: string): Promise<void> {
    await first.ok('POST', '/v1/upgrades', {
      name,
      source: { server: 'managed', database: from },
      target: { server: 'managed', database: to },
      traffic: { kind: 'sql-fence' },
    });
    await upgradeIn(first, name, ['blocked']);
    await atRest();
  }

  beforeAll(async () => {
    state = await TestServer.shared(18);
    managed = await TestServer.shared(17);
    await state.freshDatabase(STATE);
    const names = ['one', 'two', 'three', 'four'].map((name) => `retention_${name}`);
    for (const name of names) await managed.freshDatabase(name);
    const { host, port, user, password } = state;
    first = await Lockstep.start({
      databaseUrl: `postgresql://${user}:${password}@${host}:${port}/${STATE}`,
      environment: { LOCKSTEP_SECRET_KEY: Buffer.alloc(32, 7).toString('base64') },
    });
    database = await state.open(STATE);
    await first.ok('POST', '/v1/servers', {
      ...{ name: 'managed', host: managed.host, port: managed.port, user: managed.user, password: managed.password },
      ...{ database: 'postgres', tls: { mode: 'disable' } },
    });
    await blocked('kept', names[0]!, names[1]!);
    await blocked('gone', names[2]!, names[3]!);
    await first.ok('POST', '/v1/upgrades/gone/abort');
    await upgradeIn(first, 'gone', ['aborted']);
    await atRest();
  }, 180_000);

  afterAll(async () => {
    await database?.close();
    await first?.dispose();
    await second?.dispose();
    await Promise.all([state?.stop(), managed?.stop()]);
  });

  it('removes what has ended and is old, on two instances at once, and leaves a live upgrade whole', async () => {
    const [kept, gone] = [await operationsOf('kept'), await operationsOf('gone')];
    expect([kept.length, gone.length]).toEqual([1, 2]);
    expect(await workflowRows(kept)).toBeGreaterThan(0);
    const keptEvents = await count('lockstep.upgrade_event where upgrade = $1', ['kept']);
    const lastOfGone = await database.row<{ seq: string }>(
      `select max(seq) as seq from lockstep.upgrade_event where upgrade = 'gone'`,
    );
    expect(Number(lastOfGone.seq)).toBeGreaterThan(1);
    await first.kill('SIGTERM');
    await database.execute(AGE);

    // Verifications: an old one by a caller, one of a live upgrade's link, one that ended just now.
    const [old, ofLive, fresh] = [randomUUID(), randomUUID(), randomUUID()];
    const { short_id: shortId } = await database.row<{ short_id: string }>(
      `select short_id from lockstep.upgrade where name = 'kept'`,
    );
    for (const [id, subscription, days] of [
      [old, 'orders_sub', 100],
      [ofLive, `lockstep_${shortId}`, 100],
      [fresh, 'orders_sub', 80],
    ] as const) {
      await database.rows(
        `insert into lockstep.verification (id, kind, subscriber_server, subscriber_database, subscription, publisher_server,
           publisher_database, single_lsn, max_parallel, verdict, finished_at)
         values ($1, 'at-rest', 's', 'd', $2, 'p', 'd', false, 1, 'different', now() - make_interval(days => $3))`,
        [id, subscription, days],
      );
      await database.rows(
        `insert into lockstep.operation (id, kind, subject_type, subject_id, state, finished_at)
         values ($1::uuid, 'verification', 'verification', $1::text, 'succeeded', now() - make_interval(days => $2))`,
        [id, days],
      );
      await database.rows(
        `insert into lockstep.difference (verification, position, schema, table_name, kind, columns, count)
         select $1, n, 'public', 't', 'missing', '[]', 1 from generate_series(1, 6000) n`,
        [id],
      );
    }
    // One that runs for longer than anything is kept, with events of its beginning.
    const running = randomUUID();
    await database.rows(
      `insert into lockstep.operation (id, kind, subject_type, subject_id, state, created_at, started_at)
       values ($1::uuid, 'verification', 'verification', $1::text, 'running', now() - interval '2 years', now() - interval '2 years')`,
      [running],
    );
    await database.rows(
      `insert into lockstep.operation_event (operation_id, seq, type, data, at)
       select $1, n, 'progress', '{}', now() - interval '2 years' from generate_series(1, 100) n`,
      [running],
    );
    await database.execute(
      `insert into lockstep.audit_event (at, action, subject, outcome)
       select now() - make_interval(days => case when n <= 12000 then 400 else 300 end), 'x.y', 's', 'succeeded'
         from generate_series(1, 12500) n`,
    );
    await database.execute(
      `insert into lockstep.idempotency_key (token_id, key_hash, request_hash, owner, lease_until, created_at, status)
       select gen_random_uuid(), '\\x01', '\\x01', gen_random_uuid(), now() + make_interval(days => v.lease), now() - make_interval(hours => v.hours), v.status
         from (values (-1, 25, 200), (-1, 25, null), (1, 25, null), (-1, 23, 200)) v(lease, hours, status)`,
    );
    const recentAudit = await count(`lockstep.audit_event where at > now() - interval '365 days'`);

    [, second] = await Promise.all([first.launch(), first.sibling()]);
    await eventually(
      async () =>
        (await count(`lockstep.audit_event where at < now() - interval '365 days'`)) === 0 &&
        (await count('lockstep.verification where id = $1', [old])) === 0 &&
        (await count('lockstep.operation where id = $1', [gone[0]])) === 0,
      { within: 60_000 },
    );

    // What has ended is gone, with what hangs on it; the abort's operation is the one that the upgrade shows.
    expect(await count('lockstep.difference where verification = $1', [old])).toBe(0);
    expect(await operationsOf('gone')).toEqual([gone[1]]);
    expect(await workflowRows(gone)).toBe(0);
    expect(await count('lockstep.cancellation')).toBe(0);
    const goneEvents = await database.rows<{ seq: string }>(
      `select seq from lockstep.upgrade_event where upgrade = 'gone'`,
    );
    expect(goneEvents).toEqual([{ seq: lastOfGone.seq }]);
    expect(await count('lockstep.operation_event where operation_id = $1', [gone[1]])).toBe(1);

    // What lives, or is young enough, is whole.
    expect(await count('lockstep.upgrade_event where upgrade = $1', ['kept'])).toBe(keptEvents);
    expect(await operationsOf('kept')).toEqual(kept);
    expect(await count('lockstep.operation_event where operation_id = $1', [kept[0]])).toBeGreaterThan(1);
    expect(await workflowRows(kept)).toBeGreaterThan(0);
    expect(await count('lockstep.operation_event where operation_id = $1', [running])).toBe(100);
    for (const id of [ofLive, fresh]) {
      expect(await count('lockstep.difference where verification = $1', [id])).toBe(6000);
      expect(await count('lockstep.operation where id = $1', [id])).toBe(1);
    }
    expect(await count(`lockstep.audit_event where at > now() - interval '365 days'`)).toBe(recentAudit);
    expect(await count(`lockstep.idempotency_key where created_at > now() - interval '24 hours'`)).toBe(1);
    expect(await count(`lockstep.idempotency_key where created_at < now() - interval '24 hours'`)).toBe(1);

    // Both served the whole time, and the work was logged once.
    const logged = [first, second].flatMap((lockstep) =>
      lockstep
        .log()
        .split('\n')
        .filter((line) => line.includes('removed what is older')),
    );
    expect(logged.length).toBeGreaterThanOrEqual(1);
    expect(JSON.parse(logged[0]!)).toMatchObject({ auditEvents: 12000 });
    expect([first, second].map((lockstep) => lockstep.log()).join()).not.toContain('retention failed');

    // The upgrade that was left alone can still be ended: its abort asks the workflow of a hundred days ago.
    await first.ok<UpgradeView>('POST', '/v1/upgrades/kept/abort');
    await upgradeIn(first, 'kept', ['aborted']);
    expect((await first.request('GET', '/v1/upgrades/gone/report')).status).toBe(200);
    expect((await first.request('GET', `/v1/verifications/${old}`)).status).toBe(404);
  }, 180_000);
});
