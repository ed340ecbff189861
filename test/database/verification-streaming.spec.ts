import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { LinkFixture } from './verification/link-fixture.js';
import { MixedLoad } from './verification/mixed-load.js';

const NEWEST = AVAILABLE_MAJORS.at(-1)!;

/** In-progress and prepared transactions are sent before they commit: what is applied is not yet what is visible. */
describe.each([
  { publisher: 16, subscriber: NEWEST, options: 'streaming = parallel, two_phase = true' },
  { publisher: 15, subscriber: 15, options: 'streaming = on, two_phase = true' },
])('verification of a link with $options, $publisher -> $subscriber', ({ publisher, subscriber, options }) => {
  const database = `verification_streaming_${publisher}`;
  let from: TestServer;
  let to: TestServer;
  let link: LinkFixture;

  beforeAll(async () => {
    const settings = { logical_decoding_work_mem: '64kB' };
    [from, to] = await Promise.all([
      TestServer.start(publisher, settings),
      subscriber === NEWEST ? TestServer.shared(subscriber) : TestServer.start(subscriber, settings),
    ]);
    link = await LinkFixture.create(from, to, database, {
      ...{ publisher: '', subscriber: '', publications: [] },
      ...{ options, twoPhase: true },
    });
  }, 120_000);

  afterAll(async () => {
    await link?.drop();
    await from?.stop();
    if (subscriber !== NEWEST) await to?.stop();
  });

  it('finds both sides equal while large and prepared transactions pass, and then what differs', async () => {
    const load = MixedLoad.start(from, database);
    let running = true;
    const large = (async () => {
      for (let turn = 0; running; turn++) {
        await from.run(
          database,
          `begin; insert into sales.items select 100000 + ${turn}, i, repeat('x', 100), i from generate_series(1, 3000) i;
           savepoint a; delete from sales.items where order_id = 100000 + ${turn} and line % 2 = 0; ${turn % 3 === 0 ? 'rollback to a;' : ''}
           ${turn % 2 === 0 ? `prepare transaction 'large ${turn}'` : 'commit'}`,
        );
        if (turn % 2 === 0) {
          await from.run(
            database,
            turn % 8 === 6 ? `rollback prepared 'large ${turn}'` : `commit prepared 'large ${turn}'`,
          );
        }
        await from.run(database, `delete from sales.items where order_id = 100000 + ${turn} - 3`);
      }
    })();
    try {
      for (let run = 0; run < 10; run++) {
        const result = await link.verify();
        expect(result.differences).toEqual([]);
        expect(result).toMatchObject({ verdict: 'equal', method: 'own-slot' });
      }
    } finally {
      running = false;
      await large;
      await load.stop();
    }
    await link.plant(`update sales.items set price = price + 1 where order_id = 3 and line = 1`);
    expect(await link.verify()).toMatchObject({
      verdict: 'different',
      differences: [{ table: 'items', kind: 'different', key: { order_id: '3', line: '1' } }],
    });
  }, 180_000);
});
