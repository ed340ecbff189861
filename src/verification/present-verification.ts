import { progressOf } from './progress.js';
import type { DifferenceDto, VerificationDto } from './verification.dto.js';
import type { StoredDifference } from './verification.repository.js';
import type { VerificationView } from './verifications.service.js';

const NOTHING_YET = { rowsDone: 0, rowsTotal: 0, bytesDone: 0, bytesTotal: 0 };

export function presentVerification(view: VerificationView): VerificationDto {
  const { id, kind, state, verdict, reason, verifiedLsn, method, methodReason } = view;
  const progress = view.progress ?? NOTHING_YET;
  const rate = progressOf(progress, view.startedAt?.getTime() ?? Date.now());
  const ended = view.finishedAt !== null;
  const results = view.results.map(({ missing, extra, different, ...table }) => ({
    ...table,
    differences: { missing, extra, different },
  }));
  return {
    id,
    kind,
    subscriber: { server: view.subscriberServer, database: view.subscriberDatabase, subscription: view.subscription },
    publisher: { server: view.publisherServer, database: view.publisherDatabase },
    ...{ state, verdict, reason, verifiedLsn, singleLsn: view.atOneLsn, method, methodReason },
    ...{ resumed: view.resumed, rowsKept: view.rowsKept, waitsFor: view.waitsFor },
    progress: { ...progress, ...(ended ? { percent: 100, etaSeconds: 0 } : rate) },
    tables: results,
    schema: view.besideRows?.schema ?? null,
    sequences: view.besideRows?.sequences ?? null,
    counters: {
      transactionsMatched: 0,
      changesMatched: 0,
      findings: view.results.reduce((sum, { missing, extra, different }) => sum + missing + extra + different, 0),
    },
    createdAt: view.createdAt.toISOString(),
    startedAt: view.startedAt?.toISOString() ?? null,
    finishedAt: view.finishedAt?.toISOString() ?? null,
  };
}

export function presentDifference({ position, observedAt, ...difference }: StoredDifference): DifferenceDto {
  return { id: position, ...difference, observedAt: observedAt.toISOString() };
}
