import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BindSessionPool } from '../../src/postgres/replication/bind-sessions.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { TestServer } from '../support/postgres-fleet.js';

/** Two seconds for the answer, two more for a goodbye that is not heard. */
const WITHIN_MS = 8_000;

describe('sessions of binds to a server that goes silent', () => {
  let publisher: TestServer;
  let subscriber: TestServer;
  let network: Network;
  let pool: BindSessionPool;

  beforeAll(async () => {
    [publisher, subscriber] = await Promise.all([TestServer.shared(14), TestServer.shared(18)]);
    network = await Network.to(subscriber.port);
    pool = new BindSessionPool(publisher.target(), { ...subscriber.target(), port: network.port });
  });
  afterAll(async () => {
    network?.thaw();
    await pool?.close();
    await network?.cut();
    for (const server of [publisher, subscriber]) await server?.stop();
  });

  it('are not lent again: others are opened, after two seconds', async () => {
    const first = await pool.lend([]);
    await pool.giveBack(first);
    const asked = network.count('select 1');
    network.freeze();
    const begin = Date.now();
    const lending = pool.lend([]);
    await eventually(() => asked() > 0, { within: 5_000 });
    // What was lost stays lost; what is opened from now on is heard.
    network.thaw();
    const second = await lending;
    expect(Date.now() - begin).toBeGreaterThanOrEqual(1_900);
    expect(Date.now() - begin).toBeLessThan(WITHIN_MS);
    expect(second).not.toBe(first);
    expect(second.subscriberControl.alive).toBe(true);
    expect(first.publisherControl.alive).toBe(false);
    await pool.giveBack(second);
    expect(await pool.lend([])).toBe(second);
    await pool.giveBack(second);
  }, 30_000);

  it('are given back in time, and not kept', async () => {
    const silent = await pool.lend([]);
    await silent.subscriber.take();
    network.freeze();
    const begin = Date.now();
    await pool.giveBack(silent);
    expect(Date.now() - begin).toBeLessThan(WITHIN_MS);
    network.thaw();
    const next = await pool.lend([]);
    expect(next).not.toBe(silent);
    expect(silent.publisher.alive).toBe(false);
    await pool.giveBack(next);
  }, 30_000);
});
