import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Session } from '../../src/postgres/session.js';
import { Problem } from '../../src/problems/problem.js';
import { isSourceLost } from '../../src/upgrades/workflow/late-opening.js';
import { Network } from '../support/network.js';
import { TestServer } from '../support/postgres-fleet.js';

const MINUTE = 60_000;
const silent = new Problem('SERVER_TIMEOUT', 'the stream gave nothing in time');
const closed = new Problem('SERVER_UNREACHABLE', 'the stream was closed');

/** Of an opening that comes late: without the source it is only where that is lost, not where it is slow. */
describe('a source that something failed of', () => {
  let server: TestServer;
  let network: Network;
  const opened: Session[] = [];
  let asked = 0;

  beforeEach(async () => {
    server = await TestServer.shared(17);
    network = await Network.to(server.port);
    asked = 0;
  });
  afterEach(async () => {
    for (const session of opened.splice(0)) await session.close();
    await network.cut();
    await server.stop();
  });

  const source = () => ({
    async act(): Promise<Session> {
      asked += 1;
      const session = await Session.open({ ...server.target(), port: network.port }, { purpose: 'test' });
      opened.push(session);
      return session;
    },
  });

  it('is not lost while it answers, however long its streams give nothing', async () => {
    const context = source();
    for (const [at, failure] of [
      [0, silent],
      [2 * MINUTE, closed],
      [10 * MINUTE, silent],
    ] as const) {
      expect(await isSourceLost(context, failure, at)).toBe(false);
    }
    expect(asked).toBe(3);
  });

  it('is lost once it has not answered for more than a minute, every time it was asked', async () => {
    const context = source();
    await network.cut();
    expect(await isSourceLost(context, closed, 0)).toBe(false);
    expect(await isSourceLost(context, closed, MINUTE)).toBe(false);
    await network.restore();
    expect(await isSourceLost(context, closed, 1.5 * MINUTE)).toBe(false);
    await network.cut();
    expect(await isSourceLost(context, closed, 3 * MINUTE)).toBe(false);
    expect(await isSourceLost(context, closed, 4 * MINUTE + 1)).toBe(true);
    await network.restore();
  });

  it('is not lost by what it refused itself', async () => {
    const refused = new Problem('SERVER_TIMEOUT', 'canceling statement due to statement timeout', {
      sqlstate: '57014',
    });
    const context = source();
    for (const at of [0, 10 * MINUTE]) expect(await isSourceLost(context, refused, at)).toBe(false);
    expect(asked).toBe(0);
  });
});
