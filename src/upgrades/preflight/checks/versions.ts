import { majorOf, OLDEST_SUPPORTED } from '../../../shared/server-version.js';
import { SERVER_FACTS, type ServerFacts } from '../../../postgres/catalog/preflight-server.sql.js';
import type { Check } from '../check.js';

/** First minor release of each major that no longer loses changes when DDL runs beside DML; 13 never got the fix. */
const LOST_CHANGES_FIXED: Record<number, number> = { 13: Infinity, 14: 18, 15: 13, 16: 9, 17: 5 };

export const versionChecks: Check[] = [
  {
    name: 'versions',
    severity: 'blocker',
    sql: () => `select pg_catalog.current_setting('server_version_num')`,
    judge: async ({ source, target }) => {
      const [from, to] = [await source.row<ServerFacts>(SERVER_FACTS), await target.row<ServerFacts>(SERVER_FACTS)];
      const supported = source.versionNum >= OLDEST_SUPPORTED && target.versionNum >= OLDEST_SUPPORTED;
      return {
        passed: supported && target.major >= source.major,
        observed: `${from.version} to ${to.version}`,
        expected: 'both 13 or newer, the target not older than the source',
        remedy: 'Choose a target of the same or a newer major version.',
      };
    },
  },
  {
    name: 'minor-releases',
    severity: 'warning',
    sql: () => `select pg_catalog.current_setting('server_version_num')`,
    judge: async ({ source, target }) => {
      const losing = [source, target].filter(({ versionNum }) => {
        return versionNum % 10000 < (LOST_CHANGES_FIXED[majorOf(versionNum)] ?? 0);
      });
      const versions = losing.map(({ versionNum }) => `${majorOf(versionNum)}.${versionNum % 10000}`);
      return {
        passed: losing.length === 0,
        observed:
          losing.length === 0
            ? 'no known fault in logical decoding'
            : `${versions.join(' and ')} can lose changes when ALTER PUBLICATION ... ADD TABLE or ALTER TYPE runs beside writes`,
        expected: 'at least 14.18, 15.13, 16.9 or 17.5',
        remedy: 'Install the newest minor release, or run no DDL during the upgrade (13 has no release with the fix).',
      };
    },
  },
];
