import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Config } from '../../src/config/config.js';
import { LeaseLost } from '../../src/engine/engine.js';
import { Instances } from '../../src/engine/instance.repository.js';
import { Leases } from '../../src/engine/lease.repository.js';
import { StateDatabase } from '../../src/storage/state-database.js';
import type { UpgradeEntity } from '../../src/upgrades/upgrade.entity.js';
import { UpgradeRun, type UpgradeRunServices } from '../../src/upgrades/workflow/upgrade-run.js';
import { eventually } from '../support/eventually.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'upgrade_run';

describe('the sessions of an upgrade', () => {
  let state: StateDatabase;
  let instances: Instances;
  let servers: Record<'source' | 'target', TestServer>;
  const runs: UpgradeRun[] = [];

  beforeAll(async () => {
    const [source, target] = await Promise.all([
      TestServer.shared(AVAILABLE_MAJORS[0]!),
      TestServer.shared(AVAILABLE_MAJORS.at(-1)!),
    ]);
    servers = { source, target };
    const { user, password, host, port } = target;
    await target.freshDatabase(DATABASE);
    const config = Config.load({ DATABASE_URL: `postgresql://${user}:${password}@${host}:${port}/${DATABASE}` });
    state = await StateDatabase.open(config);
    instances = new Instances(state.dataSource, state, config);
    await instances.join();
  });
  afterEach(async () => {
    for (const run of runs.splice(0)) await run.close();
  });
  afterAll(async () => {
    await instances?.leave();
    await state?.onApplicationShutdown();
    for (const server of Object.values(servers ?? {})) await server.stop();
  });

  function newRun(): UpgradeRun {
    const upgrade = {
      name: 'shared',
      shortId: 'abcd',
      request: {
        source: { server: 'source', database: 'postgres' },
        target: { server: 'target', database: 'postgres' },
      },
      facts: {},
    } as UpgradeEntity;
    const services = {
      leases: new Leases(state.dataSource, instances),
      servers: { target: (name: 'source' | 'target', database: string) => servers[name].target(database) },
    } as unknown as UpgradeRunServices;
    const run = new UpgradeRun(upgrade, 'operation', new AbortController().signal, {}, services);
    runs.push(run);
    return run;
  }

  it('of both sides share one lease, also when they are opened at the same time', async () => {
    for (let round = 1; round <= 10; round++) {
      const run = newRun();
      const [source, again, target] = await Promise.all([run.act('source'), run.act('source'), run.act('target')]);
      expect(again).toBe(source);
      expect([source.alive, target.alive, await run.leaseHeld()]).toEqual([true, true, true]);
      target.destroy();
      const reopened = await run.act('target');
      expect(reopened).not.toBe(target);
      expect([source.alive, reopened.alive, await run.leaseHeld()]).toEqual([true, true, true]);
      await run.close();
    }
  });

  it('are ended by whoever takes the upgrade over, and not opened again', async () => {
    const earlier = newRun();
    const session = await earlier.act('source');
    const later = newRun();
    const taken = await later.act('source');
    await eventually(() => !session.alive, { within: 5000 });
    expect(await earlier.leaseHeld()).toBe(false);
    await expect(earlier.act('source')).rejects.toBeInstanceOf(LeaseLost);
    await expect(earlier.act('target')).rejects.toBeInstanceOf(LeaseLost);
    expect([taken.alive, await later.leaseHeld()]).toEqual([true, true]);
  });
});
