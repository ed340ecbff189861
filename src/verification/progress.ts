import type { VerificationProgress } from './at-rest/link-verification.js';

/**
 * Share of the bytes that are compared, and seconds to go at the rate so far; null where it cannot be known.
 *
 * @param bytesBefore of them, those that were compared by then already
 */
export function progressOf(
  { bytesDone, bytesTotal }: VerificationProgress,
  startedAt: number,
  bytesBefore = 0,
  now: number = Date.now(),
): { percent: number | null; etaSeconds: number | null } {
  if (bytesTotal === 0) return { percent: null, etaSeconds: null };
  const share = bytesDone / bytesTotal;
  const elapsed = (now - startedAt) / 1000;
  return {
    percent: Math.round(share * 1000) / 10,
    etaSeconds:
      bytesDone > bytesBefore ? Math.round((elapsed * (bytesTotal - bytesDone)) / (bytesDone - bytesBefore)) : null,
  };
}
