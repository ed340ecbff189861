import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { compareTouched, type TouchedVerification } from '../../src/verification/final-check/compare-touched.js';
import { openRecordedLink, type RecordedLink } from '../../src/verification/final-check/recorded-link.js';
import { verifyLink } from '../../src/verification/at-rest/verify-link.js';
import type { Lsn } from '../../src/shared/lsn.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { LinkFixture } from './verification/link-fixture.js';
import { MixedLoad } from './verification/mixed-load.js';

describe('the final check of touched keys', () => {
  const database = 'verification_touched';
  let link: LinkFixture;
  let recorded: RecordedLink;
  let verified: Lsn | null = null;

  const open = () =>
    openRecordedLink(
      {
        readerId: `${database}_check`,
        publisher: link.publisher.target(database),
        subscriber: link.subscriber.target(database),
        subscription: link.subscription,
        deadlineMs: 30_000,
      },
      verified,
    );
  const check = (): Promise<TouchedVerification> => compareTouched({ ...recorded, bindDeadlineMs: 30_000 });

  async function verify(): Promise<void> {
    const result = await verifyLink({ readers: recorded.readers, tables: null });
    expect(result).toMatchObject({ verdict: 'equal' });
    verified = result.verifiedLsn!;
    recorded.touched.reset(verified);
    recorded.readers.confirm(verified);
  }

  beforeAll(async () => {
    link = await LinkFixture.create(
      await TestServer.shared(14),
      await TestServer.shared(AVAILABLE_MAJORS.at(-1)!),
      database,
    );
    recorded = await open();
  }, 120_000);

  beforeEach(verify);

  afterAll(async () => {
    await recorded?.readers.drop();
    await link?.drop();
  });

  it('is equal, with nothing to compare, when nothing was touched', async () => {
    expect(await check()).toMatchObject({ verdict: 'equal', keys: 0, differences: [] });
  });

  it('compares what was written since the verification, also while writing goes on', async () => {
    const load = MixedLoad.start(link.publisher, database);
    for (let round = 0; round < 5; round++) {
      const underLoad = await check();
      expect(underLoad.differences).toEqual([]);
    }
    await load.stop();
    const result = await check();
    expect(result).toMatchObject({ verdict: 'equal', differences: [] });
    expect(result.keys).toBeGreaterThan(10);
    expect(result.tables.map(({ name }) => name)).toContain('full_keyless');
    expect(result.verifiedLsn! > verified!).toBe(true);
  }, 60_000);

  it('finds a difference in a touched row, and does not look at others', async () => {
    await link.plant(`update sales.orders set document = 'planted' where id in (1, 2)`);
    await link.publisher.run(database, `update sales.orders set customer = customer + 1 where id = 1`);
    const result = await check();
    expect(result).toMatchObject({ verdict: 'different', keys: 1 });
    expect(result.differences).toEqual([
      expect.objectContaining({
        kind: 'different',
        key: { id: '1' },
        columns: [expect.objectContaining({ subscriber: 'planted' })],
      }),
    ]);
    await link.publisher.run(database, `update sales.orders set document = 'same again' where id in (1, 2)`);
    expect(await check()).toMatchObject({ verdict: 'equal', keys: 2 });
  });

  it('finds a change of a table without a key that was not applied', async () => {
    await link.publisher.run(database, `insert into sales.full_keyless values (-1, 'here', null), (-1, 'here', null)`);
    expect(await check()).toMatchObject({ verdict: 'equal' });
    await link.plant(`delete from sales.full_keyless where a = -1`);
    await link.publisher.run(database, `delete from sales.full_keyless where a = -1`);
    const result = await check();
    expect(result).toMatchObject({ verdict: 'different' });
    expect(result.differences).toEqual([expect.objectContaining({ kind: 'extra', key: null, count: 2 })]);
  });

  it('knows what was touched before the process died', async () => {
    await link.plant(`update sales.orders set document = 'planted' where id = 3`);
    await link.publisher.run(database, `update sales.orders set customer = customer + 1 where id in (3, 4)`);
    await check();
    await recorded.readers.close();
    await link.publisher.run(database, `update sales.orders set customer = customer + 1 where id = 5`);
    recorded = await open();
    expect(await check()).toMatchObject({
      verdict: 'different',
      keys: 3,
      differences: [expect.objectContaining({ key: { id: '3' } })],
    });
    await link.publisher.run(database, `update sales.orders set document = 'same again' where id = 3`);
  });

  it('says so when it cannot know what was touched, until the next verification', async () => {
    await link.publisher.run(database, 'truncate sales.insert_only');
    expect(await check()).toMatchObject({ verdict: 'pending', reason: expect.stringContaining('truncated') });
    await verify();
    expect(await check()).toMatchObject({ verdict: 'equal' });
  });
});
