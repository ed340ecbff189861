import { describe, expect, it } from '@jest/globals';
import type { ReplicationSlot } from '../../postgres/catalog/replication-slots.js';
import type { LinkLook, PublisherLook } from '../link-looks.js';
import { agreementOf } from './agreement.js';
import { AGREEMENT_STATES, CHECKS } from './check.js';
import { slotOurs, slotUsable } from './slot-checks.js';
import { shownApplicationName } from '../../shared/application-name.js';

const slot = { name: 's', kind: 'logical', plugin: 'pgoutput', database: 'd', active: true, activePid: 7 };
const usable = { walStatus: 'reserved', invalidationReason: null, conflicting: null };

function look(more: Record<string, unknown> = {}): LinkLook {
  const view = {
    name: 'sub',
    oid: 1,
    originLsn: null,
    slotName: 's',
    enabled: true,
    workers: [{ kind: 'apply' }],
    tables: [],
    publications: ['p'],
  };
  const target = { state: 'unknown', reason: 'it cannot be tried from here', remedy: null, sql: null, publisher: null };
  return {
    server: 'sink',
    conninfo: null,
    hasOrigin: true,
    view,
    target,
    publisher: null,
    problem: null,
    ...more,
  } as never;
}

function end(of: Record<string, unknown> = {}, more: Record<string, unknown> = {}): PublisherLook {
  const sender = { pid: 7, user: 'u', application: 'sub', clientAddress: null, state: 'streaming' };
  const place = { server: 'source', database: 'd' };
  const sent = { tables: [{}], missing: [] };
  return {
    place,
    versionNum: 180000,
    login: 'l',
    sender,
    sent,
    tables: [],
    ...more,
    slot: { ...slot, ...usable, ...of } as unknown as ReplicationSlot,
  } as never;
}

describe('the agreement of both ends', () => {
  it('is unknown in everything about a publisher that was not seen', () => {
    const checks = agreementOf(look({ problem: 'it did not answer' }), null);
    expect(checks.map(({ check }) => check)).toEqual([...CHECKS]);
    const agreed = checks.filter(({ state }) => state !== 'unknown').map(({ check }) => check);
    expect(agreed).toEqual(['origin']);
    expect(checks.find(({ check }) => check === 'columns')!.reason).toBe('it did not answer');
  });

  it('is unknown where a publication is missing, or there is nothing to compare', () => {
    const columns = (sent: unknown) =>
      agreementOf(look({ publisher: end({}, { sent }) }), []).find(({ check }) => check === 'columns')!;
    expect(columns({ tables: [{}], missing: [] }).state).toBe('agrees');
    expect(columns({ tables: [{}], missing: ['q'] })).toMatchObject({ state: 'unknown' });
    expect(columns({ tables: [], missing: [] })).toMatchObject({ state: 'unknown' });
  });

  it('takes the walsender of its worker for evidence of an address that cannot be tried', () => {
    const [target] = agreementOf(look({ publisher: end() }), []);
    expect(target).toMatchObject({ check: 'connection-target', state: 'agrees' });
    const [other] = agreementOf(look({ publisher: end({ active: false }) }), []);
    expect(other).toMatchObject({ state: 'unknown', reason: 'it cannot be tried from here' });
  });

  it.each([
    [{ walStatus: 'lost' }, 'disagrees'],
    [{ invalidationReason: 'idle_timeout' }, 'disagrees'],
    [{ conflicting: true }, 'disagrees'],
    [{ walStatus: null }, 'unknown'],
    [{ walStatus: 'unreserved' }, 'agrees'],
  ])('of a slot that shows %j: %s', (of, state) => {
    expect(AGREEMENT_STATES).toContain(state);
    expect(slotUsable(look(), end(of)).state).toBe(state);
  });

  it('does not take whoever reads the slot for ours', () => {
    const by = (sender: Record<string, unknown> | null, more = {}) => slotOurs(look(more), end({}, { sender }));
    const sender = { pid: 7, user: 'u', clientAddress: '10.0.0.1' };
    expect(by({ ...sender, application: 'sub' }).state).toBe('agrees');
    expect(by({ ...sender, application: 'other' })).toMatchObject({
      state: 'disagrees',
      reason: expect.stringContaining('other'),
    });
    expect(by({ ...sender, application: null })).toMatchObject({ state: 'unknown', sql: 'grant pg_monitor to "l"' });
    expect(by({ ...sender, application: 'mine' }, { conninfo: 'host=h application_name=mine' }).state).toBe('agrees');
    const idle = look({ view: { ...look().view, workers: [] } });
    expect(slotOurs(idle, end()).state).toBe('disagrees');
    expect(by(null).state).toBe('unknown');
  });

  it('knows a worker by its name as the publisher shows it', () => {
    expect(shownApplicationName('plain', 130000)).toBe('plain');
    expect(shownApplicationName('ü', 150000)).toBe('??');
    expect(shownApplicationName('ü', 160000)).toBe('\\xc3\\xbc');
    expect(shownApplicationName('ü'.repeat(30), 160000)).toHaveLength(63);
  });
});
