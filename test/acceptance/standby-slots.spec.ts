import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { isSlotCarriedOver } from '../../src/postgres/catalog/replication-slots.js';
import { ReplicationSlotsModule } from '../../src/replication-slots/replication-slots.module.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { type Answer, ApiUnderTest } from './security-app.js';

describe.each([15, 17, 18])('slots of a primary and its standby, %i', (major) => {
  const slots = '/v1/servers/primary/replication-slots';
  const copies = '/v1/servers/standby/replication-slots';
  let state: TestServer;
  let primary: TestServer;
  let standby: TestServer;
  let api: ApiUnderTest;

  beforeAll(async () => {
    [state, primary] = await Promise.all([TestServer.shared(18), TestServer.start(major)]);
    await primary.run('postgres', `select pg_create_physical_replication_slot('to_standby', true)`);
    standby = await primary.standby(
      'to_standby',
      major < 17 ? {} : { sync_replication_slots: 'on', hot_standby_feedback: 'on' },
    );
    api = await ApiUnderTest.start(state, await state.freshDatabase(`standby_slots_${major}_state`), {
      imports: [ReplicationSlotsModule],
    });
    for (const [name, { host, port, user, password }] of Object.entries({ primary, standby })) {
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
  }, 120_000);

  afterAll(async () => {
    await api?.stop();
    for (const server of [state, standby, primary]) await server?.stop();
  }, 60_000);

  const until = (path: string, holds: (slot: Answer['body']) => boolean) =>
    eventually(
      async () => {
        const answer = await api.get(path);
        if (answer.status !== 200 || !holds(answer.body)) throw new Error(answer.text);
        return answer.body;
      },
      { within: 40_000, every: 100 },
    );
  const reload = (server: TestServer, setting: string) =>
    server.withSession('postgres', async (session) => {
      await session.execute(`alter system set ${setting}`);
      await session.execute('select pg_catalog.pg_reload_conf()');
    });
  const DELETES = [`${slots}/to_standby`, `${slots}/to_standby?dryRun=true`];

  it('are kept for the standby that names them, also while it does not stream', async () => {
    const owner = { kind: 'standby', name: 'standby', server: 'standby', live: true };
    expect(await until(`${slots}/to_standby`, ({ active }) => active)).toMatchObject({ owner, orphan: false });
    for (const path of DELETES) expect(await api.call('DELETE', path)).toMatchObject({ body: { code: 'SLOT_ACTIVE' } });
    await reload(standby, `primary_conninfo to ''`);
    const left = await until(`${slots}/to_standby`, ({ active }) => !active);
    expect(left).toMatchObject({ owner, orphan: false, unanswered: [] });
    for (const path of DELETES) {
      expect(await api.call('DELETE', path)).toMatchObject({
        status: 409,
        body: { code: 'CONFLICT', hint: expect.stringContaining('primary_slot_name') },
      });
    }
    await reload(standby, `primary_slot_name to ''`);
    expect(await until(`${slots}/to_standby`, (slot) => slot.owner === null)).toMatchObject({ orphan: null });
    expect((await api.call('DELETE', DELETES[1]!)).status).toBe(200);
    for (const name of ['primary_conninfo', 'primary_slot_name']) await reload(standby, `${name} to default`);
    await standby.run('postgres', 'select pg_catalog.pg_reload_conf()');
    await until(`${slots}/to_standby`, ({ active }) => active);
  }, 90_000);

  it('stay while the standby is down: it may come back for them', async () => {
    await standby.crash();
    const down = await until(`${slots}/to_standby`, ({ active }) => !active);
    expect(down).toMatchObject({ owner: null, orphan: null, unanswered: ['standby'] });
    for (const path of DELETES) {
      expect(await api.call('DELETE', path)).toMatchObject({
        status: 409,
        body: { code: 'CONFLICT', unanswered: ['standby'], detail: expect.stringContaining('standby did not answer') },
      });
    }
    await standby.restart();
    await until(`${slots}/to_standby`, ({ active, owner }) => active && owner !== null);
  }, 90_000);

  if (major < 17) {
    it('are never carried over to the standby', async () => {
      expect((await api.get(`${slots}/to_standby/failover`)).body).toMatchObject({ ready: false, standbys: [] });
    });
    return;
  }

  it('are copied to the standby, where nobody but the primary moves or drops them, until it is promoted', async () => {
    const body = { name: 'kept', kind: 'logical', database: 'postgres', failover: true };
    expect((await api.post(slots, body)).status).toBe(201);
    const carriedOver = () => standby.withSession('postgres', (session) => isSlotCarriedOver(session, 'kept'));
    const copied = await eventually(
      async () => {
        await primary.run(
          'postgres',
          `select pg_catalog.pg_log_standby_snapshot();
           select pg_catalog.pg_replication_slot_advance('kept', pg_catalog.pg_current_wal_lsn())`,
        );
        const answer = await api.get(`${copies}/kept`);
        return answer.status === 200 && answer.body.synced === true && !answer.body.temporary ? answer.body : null;
      },
      { within: 60_000, every: 500 },
    );
    expect(await carriedOver()).toBe(false);
    expect(copied).toMatchObject({ owner: { kind: 'primary', live: true }, outlook: { health: 'ok', reasons: [] } });
    const guarded = {
      server: 'standby',
      ready: true,
      reasons: [expect.stringContaining('synchronized_standby_slots')],
    };
    const readiness = async () => (await api.get(`${slots}/kept/failover`)).body;
    await eventually(async () => (await readiness()).ready === true, { within: 20_000 });
    expect(await readiness()).toEqual({ ready: true, reasons: [], standbys: [guarded] });
    await reload(primary, `synchronized_standby_slots to 'to_standby'`);
    await eventually(async () => (await readiness()).standbys[0].reasons.length === 0, { within: 20_000 });
    expect((await api.get(`${slots}/to_standby/failover`)).body).toMatchObject({ ready: false });
    expect(await api.get(`${copies}/kept/failover`)).toMatchObject({ status: 409, body: { code: 'WRONG_STATE' } });
    await primary.run('postgres', `select pg_create_logical_replication_slot('plain', 'pgoutput')`);
    expect((await api.get(`${slots}/plain/failover`)).body).toMatchObject({
      ...{ ready: false, reasons: [expect.stringContaining('failover is off')], standbys: [] },
    });
    for (const query of ['', '?dryRun=true', '?force=true']) {
      const dropped = await api.call('DELETE', `${copies}/kept${query}`);
      const advanced = await api.post(`${copies}/kept/advance${query.replace('?force=true', '')}`, {
        ...{ lsn: copied.confirmedFlushLsn, force: query === '?force=true' },
      });
      for (const refused of [dropped, advanced]) {
        expect(refused).toMatchObject({
          status: 409,
          body: { code: 'WRONG_STATE', hint: expect.stringContaining('on the primary') },
        });
      }
    }
    await standby.crash();
    expect(await readiness()).toMatchObject({ ready: null, standbys: [{ server: 'standby', ready: null }] });
    await standby.restart();
    await standby.run('postgres', 'select pg_catalog.pg_promote()');
    // A server that did not answer is asked again after a moment only.
    await eventually(async () => (await readiness()).standbys.length === 0, { within: 20_000 });
    expect(await readiness()).toMatchObject({ ready: null });
    const own = await until(`${copies}/kept`, ({ synced }) => synced === false);
    expect(await carriedOver()).toBe(true);
    expect(own).toMatchObject({ owner: null, orphan: null, outlook: { health: 'warning' } });
    expect((await api.call('DELETE', `${copies}/kept`)).status).toBe(204);
  }, 120_000);
});
