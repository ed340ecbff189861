import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readReplicationSlots } from '../../src/postgres/catalog/replication-slots.js';
import { TestServer } from '../support/postgres-fleet.js';

describe.each([13, 18])('a slot that lost its WAL on PostgreSQL %i', (major) => {
  let server: TestServer;

  beforeAll(async () => {
    server = await TestServer.start(major, {
      max_slot_wal_keep_size: '1MB',
      min_wal_size: '8MB',
      max_wal_size: '8MB',
      wal_keep_size: '0',
    });
  });
  afterAll(() => server?.stop());

  it('never reads as fine: nothing is kept, the reason is named', async () => {
    await server.withSession('postgres', async (session) => {
      await session.execute(`select pg_create_logical_replication_slot('doomed', 'pgoutput')`);
      const [fresh] = await readReplicationSlots(session, 'doomed');
      expect(fresh).toMatchObject({ walStatus: 'reserved', invalidationReason: null, active: false });
      expect(fresh!.retainedBytes).toBeGreaterThanOrEqual(0);
      expect(fresh!.safeWalSize).toBeGreaterThan(0);
      for (let segment = 0; segment < 4; segment++) {
        await session.execute(
          `select pg_logical_emit_message(false, 'fill', repeat('x', 100000)); select pg_switch_wal()`,
        );
      }
      await session.execute('checkpoint');
      const [lost] = await readReplicationSlots(session, 'doomed');
      expect(lost).toMatchObject({
        walStatus: 'lost',
        invalidationReason: 'wal_removed',
        retainedBytes: null,
        safeWalSize: null,
      });
      expect(lost!.currentLsn).not.toBeNull();
    });
  });
});
