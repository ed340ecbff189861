import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Session } from '../../src/postgres/session.js';
import { Lockstep } from '../support/lockstep.js';
import { TestServer } from '../support/postgres-fleet.js';
import { operationEnds, ours } from '../support/upgrade-proof.js';
import { upgradeIn, type UpgradeView } from '../support/upgrade-scene.js';

const PASSWORD = 'shared secret';
const DATABASES = ['orders', 'billing'] as const;
type Database = (typeof DATABASES)[number];

/** Roles belong to the whole server: what one upgrade does to a writer must not reach that writer's other databases. */
describe('two upgrades between the same servers, with the same writers', () => {
  let source: TestServer;
  let target: TestServer;
  let lockstep: Lockstep;

  beforeAll(async () => {
    [source, target, lockstep] = await Promise.all([TestServer.start(14), TestServer.start(18), Lockstep.start()]);
    // The privileges are a group's: the roles that log in have nothing of their own in any database.
    await source.run(
      'postgres',
      `create role app; create role writer login password '${PASSWORD}' in role app;
       create role reader login password '${PASSWORD}'`,
    );
    for (const database of DATABASES) {
      await source.freshDatabase(database);
      await target.freshDatabase(database);
      await source.run(
        database,
        'create table t (id serial primary key); grant insert on t to app; grant usage on t_id_seq to app; grant select on t to reader',
      );
    }
    for (const [name, { host, port, user, password }] of Object.entries({ source, target })) {
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      await lockstep.ok('POST', '/v1/servers', body);
    }
  }, 60_000);
  afterAll(async () => {
    await lockstep?.dispose();
    await Promise.all([source?.stop(), target?.stop()]);
  });

  async function can(server: TestServer, database: string, user: string, sql: string): Promise<boolean> {
    try {
      const session = await Session.open({ ...server.target(database), user, password: PASSWORD });
      try {
        await session.execute(sql);
        return true;
      } finally {
        await session.close();
      }
    } catch {
      return false;
    }
  }

  /** Where the writer gets in and may write, as `source.orders`. */
  async function writes(): Promise<string[]> {
    const places: string[] = [];
    for (const [name, server] of Object.entries({ source, target })) {
      for (const database of DATABASES) {
        if (await can(server, database, 'writer', 'insert into public.t default values'))
          places.push(`${name}.${database}`);
      }
    }
    return places;
  }

  const reads = (database: Database) => can(target, database, 'reader', 'select from public.t');

  async function begin(name: string, database: Database, phase: string): Promise<UpgradeView> {
    await lockstep.ok('POST', '/v1/upgrades', {
      ...{ name, source: { server: 'source', database }, target: { server: 'target', database } },
      traffic: { kind: 'sql-fence' },
    });
    return await upgradeIn(lockstep, name, [phase]);
  }

  async function act(name: string, action: string, phase: string, body?: unknown): Promise<void> {
    await lockstep.ok('POST', `/v1/upgrades/${name}/${action}`, body);
    const { operationId } = await upgradeIn(lockstep, name, [phase]);
    if (phase !== 'awaiting-approval') await operationEnds(lockstep, operationId);
  }

  const switchOver = (name: string) => act(name, 'approve', 'switched', { gate: 'switchover' });

  it('neither let them in nor lock them out on each other', async () => {
    const unfenced = ['source.orders', 'source.billing'];
    await begin('first', 'orders', 'awaiting-approval');
    expect(await writes()).toEqual(unfenced);

    // The first holds the writer barred in the whole server: the second may neither open nor lower that.
    const blocked = await begin('second', 'billing', 'blocked');
    expect(blocked.problem).toMatchObject({ code: 'PRECONDITION_FAILED' });
    expect(blocked.problem!.detail).toContain('may not log in there: writer');
    await act('second', 'abort', 'aborted');
    expect(await writes()).toEqual(unfenced);

    await switchOver('first');
    expect(await writes()).toEqual(['source.billing', 'target.orders']);
    expect(await reads('orders')).toBe(true);

    // Now it is in use there, so the second takes from it its own database only, and gives that back.
    for (const attempt of ['second-aborted', 'second-switched']) {
      await begin(attempt, 'billing', 'awaiting-approval');
      expect(await writes()).toEqual(['source.billing', 'target.orders']);
      if (attempt === 'second-switched') break;
      await act(attempt, 'abort', 'aborted');
      expect(await writes()).toEqual(['source.billing', 'target.orders']);
      expect(await reads('orders')).toBe(true);
    }
    await switchOver('second-switched');
    expect(await writes()).toEqual(['target.orders', 'target.billing']);

    await act('first', 'rollback', 'rolled-back');
    expect(await writes()).toEqual(['source.orders', 'target.billing']);
    // The roles it made stay, because the second uses them, and stay able to log in.
    await act('first', 'abort', 'aborted');
    expect(await writes()).toEqual(['source.orders', 'target.billing']);
    expect(await reads('billing')).toBe(true);
    await act('second-switched', 'finalize', 'finalized');
    expect(await writes()).toEqual(['source.orders', 'target.billing']);
    for (const database of DATABASES) expect(await ours(source, database)).toEqual([]);
    expect(await ours(target, 'billing')).toEqual([]);
    // Remembers the roles that stayed.
    expect(await ours(target, 'orders')).toEqual(['schema lockstep']);
  }, 240_000);
});
