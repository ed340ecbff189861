import { SERVER_CLOCK } from '../../../postgres/catalog/preflight-activity.sql.js';
import type { Session } from '../../../postgres/session.js';
import type { Check, Side } from '../check.js';

const TOLERATED_MS = 1000;
const SAMPLES = 5;

interface ClockSkew {
  /** How far the server's clock is ahead of ours; it may be off by half of the round trip. */
  aheadMs: number;
  roundTripMs: number;
}

/** The quickest of a few questions: the shorter the way, the less the answer can be off. */
async function measureSkew(session: Session): Promise<ClockSkew> {
  let best: ClockSkew | null = null;
  for (let sample = 0; sample < SAMPLES; sample++) {
    const askedAt = Date.now();
    const begun = performance.now();
    const { epochMs } = await session.row<{ epochMs: number }>(SERVER_CLOCK);
    const roundTripMs = performance.now() - begun;
    if (best === null || roundTripMs < best.roundTripMs) {
      best = { aheadMs: epochMs - (askedAt + roundTripMs / 2), roundTripMs };
    }
  }
  return best!;
}

function text(name: string, aheadMs: number, than: string): string {
  return `${name} is ${Math.abs(Math.round(aheadMs))} ms ${aheadMs < 0 ? 'behind' : 'ahead of'} ${than}`;
}

const REMEDY = 'Let one time service (NTP) set the clocks of all three machines, and check that it runs.';

function ofServer(side: Side): Check {
  return {
    name: `${side}-clock-skew`,
    severity: 'warning',
    sql: () => SERVER_CLOCK,
    judge: async (context) => {
      const { aheadMs, roundTripMs } = await measureSkew(context[side]);
      return {
        // What is not sure to be inside is not inside.
        passed: Math.abs(aheadMs) + roundTripMs / 2 <= TOLERATED_MS,
        observed: `${text(`the clock of the ${side}`, aheadMs, "Lockstep's")} (round trip ${roundTripMs.toFixed(1)} ms)`,
        expected: `at most ${TOLERATED_MS} ms: commit times and lags in seconds are off by as much`,
        remedy: REMEDY,
      };
    },
  };
}

export const clockChecks: Check[] = [
  ofServer('source'),
  ofServer('target'),
  {
    name: 'clock-skew-between-servers',
    severity: 'warning',
    sql: () => SERVER_CLOCK,
    judge: async (context) => {
      const [source, target] = [await measureSkew(context.source), await measureSkew(context.target)];
      const aheadMs = target.aheadMs - source.aheadMs;
      const uncertainMs = (source.roundTripMs + target.roundTripMs) / 2;
      return {
        passed: Math.abs(aheadMs) + uncertainMs <= TOLERATED_MS,
        observed: `${text('the clock of the target', aheadMs, "the source's")} (give or take ${uncertainMs.toFixed(1)} ms)`,
        expected: `at most ${TOLERATED_MS} ms: time jumps by as much for applications at the switchover, and where the last update wins, the wrong one does`,
        remedy: REMEDY,
      };
    },
  },
];
