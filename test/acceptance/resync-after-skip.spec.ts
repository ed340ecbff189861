import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import type { ApiUnderTest } from './security-app.js';
import { Fleet, Link } from './stuck-link.js';

/** As it is unless changed: after a failure no worker is to be seen for so long. */
const RETRY = { wal_retrieve_retry_interval: '5s' };

let fleet: Fleet;
let api: ApiUnderTest;

beforeAll(async () => {
  fleet = await Fleet.start('resync_skip_state', { 15: RETRY, 18: RETRY });
  ({ api } = fleet);
}, 120_000);

afterAll(() => fleet?.stop());

describe.each([
  [17, 15],
  [16, 18],
])('a table copied afresh while the apply worker is away, %i -> %i', (from, to) => {
  let link: Link;
  beforeAll(async () => void (link = await Link.create(fleet, from, to)), 120_000);
  afterAll(() => link?.drop());

  const stuckAt = () =>
    eventually(async () => (await link.diagnose()).transaction?.finishLsn as string | undefined, { within: 30_000 });
  const skip = async (lsn: string) => {
    const skipped = await api.post(`${link.path}/skip`, { lsn });
    expect([skipped.status, skipped.body.code]).toEqual([200, undefined]);
  };

  it('is refused for one that fails for good, clearly', async () => {
    await link.stick(500);
    await link.until('failing');
    for (const query of ['?dryRun=true', '']) {
      const began = Date.now();
      expect(await api.post(`${link.resyncPath('orders')}${query}`)).toMatchObject({
        status: 409,
        body: {
          ...{ code: 'PREREQUISITE_FAILED', retryable: false },
          detail: expect.stringContaining('while the subscription is failing'),
          hint: expect.stringContaining('mend that or skip it'),
        },
      });
      expect(Date.now() - began).toBeLessThan(15_000);
    }
  }, 60_000);

  it('waits for its worker right after a skip', async () => {
    await skip(await stuckAt());
    // Nobody has seen anything applied since.
    expect(['failing', 'stalled']).toContain((await api.get(link.path)).body.state);
    expect(await link.resync('orders')).toMatchObject({ state: 'succeeded' });
  }, 60_000);

  it('is to be asked for again where its worker takes longer', async () => {
    await link.until('streaming');
    await link.stick(600);
    await link.until('failing');
    const lsn = await stuckAt();
    // A worker that has just failed does not come back before.
    await link.subscriber.run('postgres', `alter system set wal_retrieve_retry_interval = '60s'`);
    await link.subscriber.run('postgres', 'select pg_reload_conf()');
    await eventually(async () => (await api.get(link.path)).body.workers.length === 0, { within: 10_000 });
    await skip(lsn);
    expect(await api.post(link.resyncPath('orders'))).toMatchObject({
      status: 409,
      body: {
        ...{ code: 'PREREQUISITE_FAILED', retryable: true },
        detail: expect.stringContaining('not seen to be back within 10 s'),
        hint: expect.stringContaining('wal_retrieve_retry_interval'),
      },
    });
    await link.subscriber.run('postgres', 'alter system reset wal_retrieve_retry_interval');
    await link.subscriber.run('postgres', 'select pg_reload_conf()');
    await link.until('streaming');
    expect(await link.resync('orders')).toMatchObject({ state: 'succeeded' });
  }, 120_000);
});
