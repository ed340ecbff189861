import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Session } from '../../src/postgres/session.js';
import { planFence } from '../../src/upgrades/traffic/plan-fence.js';
import { barRoles, lowerFence } from '../../src/upgrades/traffic/sql-fence.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const MAJORS = [AVAILABLE_MAJORS[0]!, AVAILABLE_MAJORS.at(-1)!];

describe.each(MAJORS)('two fences over one role, in two databases of PostgreSQL %i', (major) => {
  let server: TestServer;
  const sessions: Session[] = [];

  beforeAll(async () => {
    server = await TestServer.start(major);
    await server.run('postgres', 'create role crew; create role sailor login in role crew');
    for (const database of ['one', 'two']) {
      await server.freshDatabase(database);
      sessions.push(await server.open(database));
    }
  });
  afterAll(async () => {
    await Promise.all(sessions.map((session) => session.close()));
    await server?.stop();
  });

  async function plans() {
    const { oid } = await sessions[0]!.row<{ oid: number }>(`select oid from pg_roles where rolname = 'sailor'`);
    return Promise.all(
      sessions.map((session) => planFence(session, { roles: [{ oid, name: 'sailor' }], excluded: [] })),
    );
  }

  const maySailorLogIn = async () =>
    (await sessions[0]!.row<{ login: boolean }>(`select rolcanlogin as login from pg_roles where rolname = 'sailor'`))
      .login;

  it('planned at once, only one of them gets the login: neither can let the role in on the other', async () => {
    const [one, two] = await plans();
    expect([one, two].map((record) => record!.roles[0])).toMatchObject([{ method: 'nologin' }, { method: 'nologin' }]);
    await barRoles(sessions[0]!, one!);
    // What is ours already is found so, after a crash for one.
    await barRoles(sessions[0]!, one!);
    await expect(barRoles(sessions[1]!, two!)).rejects.toMatchObject({
      code: 'PRECONDITION_FAILED',
      detail: expect.stringContaining('sailor'),
    });
    expect(await sessions[0]!.rows('select from pg_db_role_setting')).toHaveLength(1);
    await lowerFence(sessions[0]!, one!);
    expect(await maySailorLogIn()).toBe(true);
  });

  it('takes only its own database from a role whose group has something in the other', async () => {
    await server.run('two', 'create table t (id int); grant insert on t to crew');
    const [one, two] = await plans();
    expect([one, two].map((record) => record!.roles[0]!.method)).toEqual(['revoke-connect', 'nologin']);
    await barRoles(sessions[0]!, one!);
    expect(await maySailorLogIn()).toBe(true);
    await lowerFence(sessions[0]!, one!);
  });
});
