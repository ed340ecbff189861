import { expect, it } from '@jest/globals';
import { Session } from '../../src/postgres/session.js';
import { findWriterRoles } from '../../src/upgrades/traffic/writers.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'writers_renamed';

it('a role that was asked for is one to bar under another name and in another group too, while it can write', async () => {
  const server = await TestServer.shared(AVAILABLE_MAJORS.at(-1)!);
  await server.freshDatabase(DATABASE);
  const session = await Session.open(server.target(DATABASE), { purpose: 'test' });
  try {
    await session.execute(
      `create role renamed_group; create role renamed_one login; create role renamed_two login in role renamed_group;
       create table public.t (id integer); grant insert on public.t to renamed_one, renamed_two`,
    );
    const requested = ['renamed_one', 'renamed_group'];
    const before = await findWriterRoles(session, { requested, excluded: [] });
    expect(before.roles.map(({ name }) => name)).toEqual(['renamed_one', 'renamed_two']);
    await session.execute('alter role renamed_one rename to renamed_now; revoke renamed_group from renamed_two');
    const known = before.roles.map(({ oid }) => oid);
    const after = await findWriterRoles(session, { requested, excluded: [], known });
    expect(after.roles.map(({ name }) => name).sort()).toEqual(['renamed_now', 'renamed_two']);
    expect(after.absent.map(({ role }) => role)).toEqual(requested);
    await session.execute('revoke insert on public.t from renamed_two');
    const later = await findWriterRoles(session, { requested, excluded: [], known });
    expect(later.roles.map(({ name }) => name)).toEqual(['renamed_now']);
  } finally {
    await session.close();
    await server.run('postgres', `drop database ${DATABASE} with (force)`);
    for (const role of ['renamed_one', 'renamed_now', 'renamed_two', 'renamed_group']) {
      await server.run('postgres', `drop role if exists ${role}`);
    }
  }
});
