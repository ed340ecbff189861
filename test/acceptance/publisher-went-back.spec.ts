import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { SubscriptionView } from '../../src/subscriptions/subscription-view.js';
import { formatLsn, type Lsn, parseLsn } from '../../src/shared/lsn.js';
import { eventually } from '../support/eventually.js';
import { LinkEnds, SUBSCRIPTION } from './link-ends.js';

/** Further than other specs write on a shared server meanwhile. */
const AHEAD_BYTES = 1_000_000_000_000n;

describe.each([
  [14, 18],
  [18, 14],
  [17, 16],
] as const)('a publisher whose WAL ends before what was applied, %i -> %i', (from, to) => {
  const database = `went_back_${from}_${to}`;
  let ends: LinkEnds;
  let path: string;

  beforeAll(async () => {
    ends = await LinkEnds.start(database, [from, to], 'create table t (id int primary key)');
    path = `/v1/servers/sink/databases/${database}/subscriptions/${encodeURIComponent(SUBSCRIPTION)}`;
    await ends.onPublisher('create publication p for table t');
    await ends.subscribe(database, 'p');
  }, 60_000);
  afterAll(() => ends?.stop(), 60_000);

  const view = async () => {
    const { status, body, text } = await ends.api.get(path);
    if (status !== 200) throw new Error(text);
    return body as SubscriptionView;
  };
  const streaming = () =>
    eventually(
      async () => {
        const seen = await view();
        if (seen.state !== 'streaming') throw new Error(JSON.stringify(seen));
        return seen;
      },
      { within: 30_000, every: 50 },
    );

  it('is never seen in one that writes and is read at once: its lag is a figure at every look', async () => {
    await streaming();
    let writing = true;
    const writer = ends.publisher.withSession(database, async (session) => {
      for (let id = 1; writing; id++) await session.execute(`insert into public.t values (${id})`);
    });
    try {
      for (let look = 0; look < 40; look++) {
        const { lag, state } = await view();
        expect([state, typeof lag.bytes, lag.reason ?? '']).toEqual([
          expect.stringMatching(/^(streaming|catching-up)$/),
          'number',
          expect.not.stringContaining('went back'),
        ]);
      }
    } finally {
      writing = false;
      await writer;
    }
  }, 60_000);

  it('is told with its reason, for the subscription and the link, and never as lag 0', async () => {
    const { oid, originLsn } = await streaming();
    expect(originLsn).not.toBeNull();
    await ends.api.post(`${path}/disable`);
    await eventually(async () => (await view()).workers.length === 0, { within: 20_000 });
    const ahead = formatLsn((parseLsn(originLsn!) + AHEAD_BYTES) as Lsn);
    await ends.onSubscriber(`select pg_catalog.pg_replication_origin_advance('pg_${oid}', '${ahead}')`);
    const unknown = {
      bytes: null,
      seconds: null,
      reason: expect.stringMatching(new RegExp(`applied up to ${ahead}, .*WAL ends at .*went back`)),
    };
    const disabled = { state: 'disabled', reason: expect.stringContaining('went back'), lag: unknown };
    const marked = [{ name: 't', needsVerification: { lsn: ahead, reason: expect.stringContaining('went back') } }];
    expect(await view()).toMatchObject({ ...disabled, originLsn: ahead, tables: marked });
    const link = (await ends.api.get(ends.path)).body;
    expect(link).toMatchObject(disabled);
    expect(link.agreement.find(({ check }: { check: string }) => check === 'origin')).toMatchObject({
      state: 'disagrees',
      reason: expect.stringContaining(ahead),
      remedy: expect.stringContaining('verify'),
    });
    // Others have theirs on the same servers.
    const { items } = (await ends.api.get('/v1/links?limit=200')).body as {
      items: { subscriber: { database: string } }[];
    };
    expect(items.filter(({ subscriber }) => subscriber.database === database)).toMatchObject([disabled]);

    // The worker is served from there on, so that what is written before never comes, and no error says so.
    await ends.api.post(`${path}/enable`);
    await ends.onPublisher('insert into t values (-1)');
    const served = await eventually(
      async () => {
        const seen = await view();
        // Nothing is sent to it: what it first receives is a keepalive, half a minute later.
        return seen.slot?.active === true && seen.workers.length > 0 && seen;
      },
      // The servers have so many workers for all who share them.
      { within: 60_000, every: 50 },
    );
    const stalled = { state: 'stalled', reason: expect.stringContaining('went back'), lag: unknown };
    expect(served).toMatchObject({ ...stalled, tables: marked });
  }, 120_000);
});
