import { expect, it } from '@jest/globals';
import type { LinkLook } from './link-looks.js';
import { processesOf } from './link-processes.js';

const LSN = '0/10';
const sender = {
  ...{ pid: 7, user: 'u', application: 'sub', clientAddress: null, state: 'streaming' },
  ...{ sentLsn: LSN, writeLsn: LSN, flushLsn: LSN, replayLsn: LSN },
};
const worker = {
  ...{ pid: 8, kind: 'apply', startedAt: '2026-01-01T00:00:00.000Z', receivedLsn: LSN, latestEndLsn: LSN },
  lastMessageAt: '2026-01-01T00:00:00.000Z',
};

function reasons(ofSender: Record<string, unknown>, ofWorker: Record<string, unknown>, more = {}) {
  const look = {
    view: { oid: 1, originLsn: null, enabled: true, slotName: 's', workers: [{ ...worker, ...ofWorker }] },
    publisher: { login: 'p', slot: { active: true, activePid: 7 }, sender: { ...sender, ...ofSender } },
    ...{ problem: null, hasOrigin: true, originReadable: false, login: 'l', ...more },
  };
  const { walsender, origin, applyWorker } = processesOf(look as unknown as LinkLook);
  return { walsender: walsender.reason, origin: origin.reason, applyWorker: applyWorker.reason };
}

it('says why anything of what carries a link is null', () => {
  expect(reasons({}, {})).toMatchObject({ walsender: null, applyWorker: null });
  expect(
    reasons({ state: 'startup', sentLsn: null, writeLsn: null, flushLsn: null, replayLsn: null }, {}),
  ).toMatchObject({ walsender: 'nothing was sent yet' });
  for (const lsn of ['writeLsn', 'flushLsn', 'replayLsn']) {
    expect(reasons({ [lsn]: null }, {}).walsender).toBe('the subscriber has not reported yet');
  }
  expect(reasons({ state: null, sentLsn: null }, {}).walsender).toContain('grant pg_monitor to "p"');
  expect(reasons({}, { receivedLsn: null, latestEndLsn: null }).applyWorker).toContain('received nothing');
  expect(reasons({}, { latestEndLsn: null }).applyWorker).toContain('not reported');
  expect(reasons({}, { lastMessageAt: null }).applyWorker).not.toBeNull();
  expect(reasons({}, { startedAt: null }).applyWorker).toContain('grant pg_monitor to "l"');
  // Functions are granted database by database.
  expect(reasons({}, {}).origin).toContain('in its database: grant execute');
});
