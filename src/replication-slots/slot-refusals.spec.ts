import { describe, expect, it } from '@jest/globals';
import type { ReplicationSlot } from '../postgres/catalog/replication-slots.js';
import { requireInactive } from './slot-refusals.js';

const slot = (fields: Partial<ReplicationSlot>) =>
  ({ name: 'kept', active: true, activePid: 7, ...fields }) as ReplicationSlot;

describe('requireInactive', () => {
  it.each([true, false])(
    'sends those who ask for the copy of a failover slot to its primary, in use or not: %s',
    (active) => {
      for (const act of ['drop', 'advance'] as const) {
        expect(() => requireInactive(slot({ active, synced: true }), act)).toThrow(
          expect.objectContaining({ code: 'WRONG_STATE' }),
        );
      }
    },
  );

  it('refuses one that somebody streams from, and lets others', () => {
    expect(() => requireInactive(slot({ synced: false }), 'drop')).toThrow(
      expect.objectContaining({ code: 'SLOT_ACTIVE' }),
    );
    for (const synced of [false, null]) {
      expect(() => requireInactive(slot({ active: false, synced }), 'drop')).not.toThrow();
    }
  });
});
