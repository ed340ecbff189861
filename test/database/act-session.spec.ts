import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { LeaseLost } from '../../src/engine/engine.js';
import type { Session } from '../../src/postgres/session.js';
import { openActSession } from '../../src/upgrades/workflow/act-session.js';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

describe.each([AVAILABLE_MAJORS[0]!, AVAILABLE_MAJORS.at(-1)!])('the act session on PostgreSQL %i', (major) => {
  const upgrade = `act-${major}`;
  let server: TestServer;
  let network: Network;
  const opened: Session[] = [];

  beforeAll(async () => {
    server = await TestServer.shared(major);
    network = await Network.to(server.port);
  });
  afterAll(async () => {
    await Promise.all(opened.map((session) => session.close()));
    await network?.cut();
    await server?.stop();
  });

  async function open(epoch: bigint): Promise<Session> {
    const session = await openActSession({ ...server.target(), port: network.port }, upgrade, epoch);
    opened.push(session);
    return session;
  }

  const backends = (): Promise<number[]> =>
    server.withSession('postgres', async (session) => {
      const pids = opened.map(({ backendPid }) => backendPid);
      const rows = await session.rows<{ pid: number }>(
        'select pid from pg_catalog.pg_stat_activity where pid = any ($1)',
        [pids],
      );
      return rows.map(({ pid }) => pid);
    });

  it('takes the place of its own session whose connection was lost without the server noticing', async () => {
    const first = await open(7n);
    network.dropClients();
    await eventually(() => !first.alive, { within: 5_000 });
    expect(await backends()).toEqual([first.backendPid]);
    const second = await open(7n);
    expect(await backends()).toEqual([second.backendPid]);
  });

  it('ends the session of an earlier holder, and gives way to that of a later one', async () => {
    const later = await open(8n);
    expect(await backends()).toEqual([later.backendPid]);
    await expect(open(7n)).rejects.toBeInstanceOf(LeaseLost);
    expect(later.alive).toBe(true);
    expect(await backends()).toEqual([later.backendPid]);
  });
});
