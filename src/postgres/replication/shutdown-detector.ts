import type { Lsn } from '../../shared/lsn.js';

/** Far more than the timeouts' pings could bring before the next data message. */
const REPEATS = 5;
const WITHIN_MS = 3_000;

/**
 * Recognises a server that shuts down and waits for us. A walsender told to stop first wants everything it sent to be
 * flushed by the receiver, and asks again after each answer. A running one asks only when it has sent something
 * beyond what we reported as written.
 */
export class ShutdownDetector {
  private count = 0;
  private since = 0;

  reset(): void {
    this.count = 0;
  }

  /** Takes a keepalive and what we reported before it; true once the server is waiting for us to confirm. */
  observe(keepalive: { walEnd: Lsn; replyRequested: boolean; written: Lsn; flushed: Lsn }): boolean {
    const { walEnd, replyRequested, written, flushed } = keepalive;
    const waits = replyRequested && walEnd <= written && flushed < walEnd;
    const now = Date.now();
    if (!waits) {
      this.count = 0;
      return false;
    }
    if (this.count === 0 || now - this.since > WITHIN_MS) {
      this.count = 0;
      this.since = now;
    }
    return ++this.count >= REPEATS;
  }
}
