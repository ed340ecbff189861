import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Controller, Get, Module } from '@nestjs/common';
import { ServersModule } from '../../src/servers/servers.module.js';
import { ServersService } from '../../src/servers/servers.service.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const DATABASE = 'shutdown_managed';

/** Takes as long as it takes. */
@Controller('v1/slow')
class SlowController {
  constructor(private readonly servers: ServersService) {}

  @Get()
  async slow(): Promise<{ done: boolean }> {
    await this.servers.withSession('one', DATABASE, (session) => session.rows('select pg_sleep(0.4)'));
    return { done: true };
  }
}

@Module({ imports: [ServersModule], controllers: [SlowController] })
class SlowModule {}

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.shared(18);
  await server.freshDatabase(DATABASE);
});
afterAll(() => server?.stop());

it('lets requests end at shutdown, then closes its sessions on managed servers', async () => {
  const state = await server.freshDatabase('shutdown_state');
  const api = await ApiUnderTest.start(server, state, { imports: [SlowModule] });
  const { host, port, user, password } = server;
  await api.post('/v1/servers', { name: 'one', host, port, user, password });
  const sessions = (where: string): Promise<number> =>
    server.withSession('postgres', async (session) => {
      const row = await session.row<{ n: number }>(
        `select count(*)::int as n from pg_stat_activity where datname = '${DATABASE}' and ${where}`,
      );
      return row.n;
    });
  const slow = api.get('/v1/slow');
  await eventually(async () => (await sessions(`query like '%pg_sleep%'`)) === 1, { within: 5_000 });
  await api.stop();
  expect(await slow).toMatchObject({ status: 200, body: { done: true } });
  await eventually(async () => (await sessions('true')) === 0, { within: 2_000 });
});
