import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readReplicationSlots } from '../../src/postgres/catalog/replication-slots.js';
import { SlotOwners } from '../../src/replication-slots/slot-owners.js';
import type { ServersService } from '../../src/servers/servers.service.js';
import { SubscriptionSlotOwners } from '../../src/subscriptions/subscription-slot-owners.js';
import { eventually } from '../support/eventually.js';
import { endsOf, fleetServers } from '../support/fleet-servers.js';
import { TestServer } from '../support/postgres-fleet.js';

/** Members of one cluster, and servers restored from it, share the system identifier that is in the slot's name. */
describe('a slot of table synchronization that two servers of one system identifier claim', () => {
  const database = 'synchronization_owners';
  let publisher: TestServer;
  let subscriber: TestServer;
  let restored: TestServer;

  beforeAll(async () => {
    [publisher, subscriber, restored] = await Promise.all([
      TestServer.shared(17),
      TestServer.shared(18),
      TestServer.shared(16),
    ]);
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(database);
      // The copy fails at a row that is there already: its slot stays.
      await server.run(database, 'create table t (id int primary key); insert into t values (1)');
    }
    await publisher.run(database, 'create publication p for table t');
    const { host, port, user, password } = publisher;
    await subscriber.run(
      database,
      `create subscription claimed connection 'host=${host} port=${port} dbname=${database} user=${user} password=${password}' publication p`,
    );
  }, 60_000);
  afterAll(async () => {
    await subscriber?.run(database, 'drop subscription if exists claimed').catch(() => {});
    for (const server of [publisher, subscriber, restored]) await server?.stop();
  });

  it.each([
    ['first', ['restored', 'subscriber']],
    ['last', ['subscriber', 'restored']],
  ])(
    'is of the one that still copies, the other asked %s',
    async (_which, order) => {
      const subscribers = { subscriber, restored } as Record<string, TestServer>;
      const servers = fleetServers({
        publisher,
        ...Object.fromEntries(order.map((name) => [name, subscribers[name]!])),
      });
      const facts = (name: string) => servers.facts(name === 'restored' ? 'subscriber' : name);
      const same = { ...servers, facts } as ServersService;
      const owners = new SlotOwners();
      new SubscriptionSlotOwners(same, endsOf(same), owners);
      const found = await eventually(
        async () => {
          const slots = (await publisher.withSession(database, (session) => readReplicationSlots(session))).filter(
            (slot) => slot.database === database && slot.name.includes('_sync_'),
          );
          if (slots.length !== 1) return null;
          const { systemIdentifier } = await servers.facts('publisher');
          return (await owners.find({ server: 'publisher', systemIdentifier, slots })).owners.get(slots[0]!.name);
        },
        { within: 20_000 },
      );
      expect(found).toMatchObject({ kind: 'table-synchronization', live: true, server: 'subscriber', name: 'claimed' });
      expect(found.detail).toContain('copies table');
    },
    60_000,
  );
});
