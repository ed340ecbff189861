import { expect, it } from '@jest/globals';
import { LocalWrites } from './local-writes.js';

it('describes some and forgets none that was not compared', () => {
  const writes = new LocalWrites();
  for (let xid = 1; xid <= 5_000; xid++) writes.add(xid, [{ schema: 'sales', table: 'orders', lsn: `0/${xid}` }]);
  expect(writes.size).toBe(5_000);
  expect(writes.changes()).toHaveLength(1_000);
  writes.forget((xid) => xid < 5_000);
  expect(writes.size).toBe(1);
  expect(writes.changes()).toEqual([]);
  writes.add(5_001, [{ schema: 'sales', table: 'orders', lsn: '0/5001' }]);
  expect(writes.changes()).toEqual([{ schema: 'sales', table: 'orders', lsn: '0/5001' }]);
});
