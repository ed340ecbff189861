import { identifier } from '../postgres/quoting.js';
import type { WalSenderPositions } from '../postgres/catalog/wal-senders.js';
import type { LinkLook } from './link-looks.js';

/** The publisher's process that serves the slot. */
export interface LinkSender {
  pid: number | null;
  user: string | null;
  application: string | null;
  clientAddress: string | null;
  /** startup, catchup, streaming, backup or stopping. */
  state: string | null;
  /** Positions in the publisher's WAL: sent, and what the subscriber reports of it. */
  sentLsn: string | null;
  writeLsn: string | null;
  flushLsn: string | null;
  replayLsn: string | null;
  /** Why something of it is null; null: all is known. */
  reason: string | null;
}

/** Where the subscriber records up to where it has applied. */
export interface LinkOrigin {
  name: string;
  exists: boolean;
  /** The publisher's LSN up to which transactions are applied. */
  remoteLsn: string | null;
  reason: string | null;
}

/** The subscriber's process that applies. */
export interface LinkWorker {
  pid: number | null;
  startedAt: string | null;
  receivedLsn: string | null;
  latestEndLsn: string | null;
  lastMessageAt: string | null;
  reason: string | null;
}

/** What carries a link, from the publisher to what is applied. */
export interface LinkProcesses {
  walsender: LinkSender;
  origin: LinkOrigin;
  applyWorker: LinkWorker;
}

export function processesOf(look: LinkLook): LinkProcesses {
  return { walsender: senderOf(look), origin: originOf(look), applyWorker: workerOf(look) };
}

/** Of whoever reads the slot: the check `slot-ours` says whether that is the subscription's worker. */
function senderOf(look: LinkLook): LinkSender {
  const { publisher, problem, view } = look;
  const sender = publisher?.sender ?? null;
  if (sender !== null) {
    const hidden = `the publisher’s login may not see it: grant pg_monitor to ${identifier(publisher!.login)}`;
    return { ...sender, reason: sender.state === null ? hidden : unreported(sender) };
  }
  const none = { pid: null, user: null, application: null, clientAddress: null, state: null };
  const positions = { sentLsn: null, writeLsn: null, flushLsn: null, replayLsn: null };
  if (publisher === null) return { ...none, ...positions, reason: problem ?? 'the publisher is not known' };
  const { slot } = publisher;
  if (slot?.active) {
    const reason = `process ${slot.activePid} streams from the slot, and has ended meanwhile or may not be seen`;
    return { ...none, ...positions, pid: slot.activePid, reason };
  }
  const why =
    view.slotName === null
      ? 'the subscription has no slot'
      : slot === null
        ? `the publisher has no slot ${JSON.stringify(view.slotName)}`
        : 'nobody streams from the slot';
  return { ...none, ...positions, reason: why };
}

/** What a walsender that is seen does not tell yet. */
function unreported({ sentLsn, writeLsn, flushLsn, replayLsn }: WalSenderPositions): string | null {
  if (sentLsn === null) return 'nothing was sent yet';
  return [writeLsn, flushLsn, replayLsn].includes(null) ? 'the subscriber has not reported yet' : null;
}

function originOf({ view, hasOrigin, originReadable, login }: LinkLook): LinkOrigin {
  const name = `pg_${view.oid}`;
  const { originLsn: remoteLsn } = view;
  if (remoteLsn !== null) return { name, exists: true, remoteLsn, reason: null };
  const reason = !hasOrigin
    ? 'it does not exist'
    : originReadable
      ? 'nothing was applied yet'
      : `the subscriber’s login may not read it; in its database: grant execute on function pg_catalog.pg_replication_origin_progress(text, boolean) to ${identifier(login)};`;
  return { name, exists: hasOrigin, remoteLsn, reason };
}

function workerOf({ view, login }: LinkLook): LinkWorker {
  const worker = view.workers.find(({ kind }) => kind === 'apply');
  if (worker === undefined) {
    const reason = view.enabled ? 'no apply worker runs just now' : 'the subscription is disabled';
    return { ...{ pid: null, startedAt: null, receivedLsn: null, latestEndLsn: null, lastMessageAt: null }, reason };
  }
  const { pid, startedAt, receivedLsn, latestEndLsn, lastMessageAt } = worker;
  const reason =
    receivedLsn === null || lastMessageAt === null
      ? 'it has received nothing from the publisher yet'
      : latestEndLsn === null
        ? 'it has not reported to the publisher yet'
        : startedAt === null
          ? `the subscriber’s login may not see since when it runs: grant pg_monitor to ${identifier(login)}`
          : null;
  return { pid, startedAt, receivedLsn, latestEndLsn, lastMessageAt, reason };
}
