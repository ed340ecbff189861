/** `server_version_num` values of first releases, for readable comparisons. */
export const PG13 = 130000;
export const PG14 = 140000;
export const PG15 = 150000;
export const PG16 = 160000;
export const PG17 = 170000;
export const PG18 = 180000;
/** Not among the servers our tests run on: what is said of it comes from its documentation and sources. */
export const PG19 = 190000;

/** The oldest server Lockstep manages. */
export const OLDEST_SUPPORTED = 130000;

export function majorOf(versionNum: number): number {
  return Math.floor(versionNum / 10000);
}
