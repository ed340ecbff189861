import type { Parameters } from 'fast-check';

/**
 * How a property is tried: another seed in each run. A failure prints the seed and the path to its smallest case, which
 * `LOCKSTEP_TEST_SEED` (and `LOCKSTEP_TEST_PATH`, with one test named by `-t`) try again.
 */
export function drawn<T>(numRuns: number): Parameters<T> {
  const { LOCKSTEP_TEST_SEED: seed, LOCKSTEP_TEST_PATH: path } = process.env;
  return {
    numRuns,
    ...(seed === undefined ? {} : { seed: Number(seed) }),
    ...(path === undefined ? {} : { path }),
  };
}

/** One case is tried again, of many: nothing is to be counted. */
export const ONE_CASE = process.env.LOCKSTEP_TEST_PATH !== undefined;
