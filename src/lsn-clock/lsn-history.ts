import type { Lsn } from '../shared/lsn.js';

/** Where a server's WAL ended at a moment. */
export interface LsnSample {
  /** Seconds before the question was asked. */
  ageSeconds: number;
  lsn: Lsn;
}

/** What WAL was written lately, measured between two looks. */
export interface WalRate {
  bytesPerSecond: number;
  /** The time it was measured over. */
  overSeconds: number;
}

/** A shorter look says little about what is to come. */
const LEAST_WINDOW_SECONDS = 5;
const RATE_WINDOW_SECONDS = 300;

/**
 * Positions of one server's WAL over the last hours: it turns a distance in bytes into the time since the server was
 * there, also when nothing is written and when the receiver is dead, which differences of timestamps do not.
 */
export class LsnHistory {
  private readonly samples: readonly LsnSample[];

  /** @param samples in any order; @param now where the WAL ends at the moment of the question */
  constructor(
    samples: readonly LsnSample[],
    private readonly now: Lsn,
  ) {
    const newestFirst = [...samples].sort((a, b) => a.ageSeconds - b.ageSeconds);
    // A server that was restored, or followed another timeline back, tells nothing about before.
    const cut = newestFirst.findIndex(({ lsn }, i) => lsn > (i === 0 ? now : newestFirst[i - 1]!.lsn));
    this.samples = cut < 0 ? newestFirst : newestFirst.slice(0, cut);
  }

  /** Over the last five minutes, or as much of them as is known; null while that is less than a few seconds. */
  get rate(): WalRate | null {
    const first = this.samples.findLast(({ ageSeconds }) => ageSeconds <= RATE_WINDOW_SECONDS);
    if (!first || first.ageSeconds < LEAST_WINDOW_SECONDS) return null;
    return { bytesPerSecond: Number(this.now - first.lsn) / first.ageSeconds, overSeconds: first.ageSeconds };
  }

  /**
   * Seconds since the WAL ended at `lsn`, exact to the time between two samples; 0 when it still does. Null when that
   * was before the history began, or has not been yet: this WAL was never there.
   */
  secondsSince(lsn: Lsn): number | null {
    if (lsn > this.now) return null;
    if (lsn === this.now) return 0;
    let later: LsnSample = { ageSeconds: 0, lsn: this.now };
    for (const sample of this.samples) {
      if (sample.lsn <= lsn) {
        const passed = Number(lsn - sample.lsn) / Number(later.lsn - sample.lsn);
        return sample.ageSeconds - passed * (sample.ageSeconds - later.ageSeconds);
      }
      later = sample;
    }
    return null;
  }

  /** How far back it goes. */
  get reachSeconds(): number {
    return this.samples.at(-1)?.ageSeconds ?? 0;
  }
}
