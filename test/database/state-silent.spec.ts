import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Config } from '../../src/config/config.js';
import { StateClient } from '../../src/storage/state-client.js';
import { StateDatabase } from '../../src/storage/state-database.js';
import { Network } from '../support/network.js';
import { TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'state_silent';

let server: TestServer;
let network: Network;

beforeAll(async () => {
  server = await TestServer.shared(18);
  await server.freshDatabase(DATABASE);
  network = await Network.to(server.port);
});

afterAll(async () => {
  await network?.cut();
  await server?.stop();
});

it('a state database that fell silent is noticed at once by a ping, and no session waits for it for ever', async () => {
  const { host, user, password } = server;
  const { port } = network;
  const state = await StateDatabase.open(
    Config.load({ DATABASE_URL: `postgresql://${user}:${password}@${host}:${port}/${DATABASE}` }),
  );
  const client = new StateClient({ host, port, user, password, database: DATABASE, query_timeout: 300 });
  const ended = new Promise<void>((resolve) => client.once('end', () => resolve()));
  client.on('error', () => {});
  await client.connect();
  await state.ping();
  network.freeze();
  const begun = Date.now();
  await expect(state.ping()).rejects.toThrow(/no answer within/);
  expect(Date.now() - begun).toBeLessThan(10_000);
  await expect(client.query('select 1')).rejects.toThrow('Query read timeout');
  await ended;
  await network.cut();
  await state.onApplicationShutdown();
}, 30_000);
