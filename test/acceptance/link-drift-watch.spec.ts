import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { Network } from '../support/network.js';
import { LinkEnds } from './link-ends.js';

const SLOT = 'drift_watch';

describe('the look at schemas now and then', () => {
  let ends: LinkEnds;
  let network: Network;

  beforeAll(async () => {
    ends = await LinkEnds.start('drift_watch', [15, 17], 'create table t (id int primary key)', {
      publisherPort: async ({ port }) => {
        network = await Network.to(port);
        return network.port;
      },
      environment: { LOCKSTEP_SCHEMA_DRIFT_SECONDS: '1' },
    });
    await ends.onPublisher('create publication p for table t');
    await ends.subscribe(SLOT);
  }, 60_000);
  afterAll(async () => {
    await ends?.stop();
    await network?.cut();
  }, 60_000);

  /** The servers are shared: other specs have links there. */
  const shown = async () => {
    const { items } = (await ends.api.get('/v1/links?limit=200')).body;
    return items.find((link: { subscriber: { database: string } }) => link.subscriber.database === ends.database)
      .schemaDrift;
  };
  const until = (state: string) =>
    eventually(
      async () => {
        const found = await shown();
        if (found.state !== state) throw new Error(JSON.stringify(found));
        return found;
      },
      { within: 30_000, every: 100 },
    );

  it('finds drift by itself, since when, and that it is gone', async () => {
    const first = await until('none');
    expect(first).toMatchObject({ since: null, reason: null, checkedAt: expect.any(String) });
    await eventually(async () => (await shown()).checkedAt > first.checkedAt, { within: 30_000 });
    await ends.onPublisher('alter table t add column note text');
    const drifted = await until('drifted');
    expect(drifted).toMatchObject({ since: expect.any(String), reason: 'column-missing public.t.note' });
    const later = await eventually(
      async () => {
        const found = await shown();
        return found.checkedAt > drifted.checkedAt ? found : null;
      },
      { within: 30_000 },
    );
    expect(later.since).toBe(drifted.since);
    await ends.onSubscriber('alter table t add column note text');
    expect(await until('none')).toMatchObject({ since: null });
  }, 120_000);

  it('does not know of a publisher that is away, and keeps since when it was drifted', async () => {
    await ends.onSubscriber('alter table t drop column note');
    const { since } = await until('drifted');
    await network.cut();
    // The subscription's own address still leads to the publisher's cluster, whose registered address does not answer.
    expect(await until('unknown')).toMatchObject({ since, reason: expect.stringContaining('source') });
    await network.restore();
    expect(await until('drifted')).toMatchObject({ since });
  }, 120_000);

  it('forgets a link that is gone', async () => {
    const sub = ends.path.split('/').at(-1)!;
    const name = decodeURIComponent(sub).replaceAll('"', '""');
    await ends.onSubscriber(`alter subscription "${name}" disable`);
    await ends.onSubscriber(`alter subscription "${name}" set (slot_name = none)`);
    await ends.onSubscriber(`drop subscription "${name}"`);
    await eventually(
      () =>
        ends.state.withSession('drift_watch_state', async (session) => {
          const looks = 'select from lockstep.schema_look where subscriber_database = $1';
          return (await session.rows(looks, [ends.database])).length === 0;
        }),
      { within: 30_000 },
    );
  }, 60_000);
});
