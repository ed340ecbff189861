import { fixedIn, minorAdvisories } from '../../../postgres/catalog/minor-advisories.js';
import { SERVER_FACTS, type ServerFacts } from '../../../postgres/catalog/preflight-server.sql.js';
import { OLDEST_SUPPORTED } from '../../../shared/server-version.js';
import { type Check, listed, type Side } from '../check.js';

/** Known faults of the release that runs. A fault of pg_upgrade alone is worth knowing, and asks for nothing here. */
function minorRelease(side: Side): Check {
  return {
    name: `${side}-minor-release`,
    severity: 'warning',
    sql: () => `select pg_catalog.current_setting('server_version')`,
    judge: async (context) => {
      const { version } = await context[side].row<ServerFacts>(SERVER_FACTS);
      const advisories = minorAdvisories(context[side].versionNum, version);
      const rows = advisories.map((advisory) => ({
        object: advisory.id,
        fact: advisory.fact,
        meaning: advisory.meaning,
        fixedIn: fixedIn(advisory, context[side].major),
      }));
      return {
        passed: rows.length === 0,
        severity: advisories.some(({ concerns }) => concerns === 'replication') ? 'warning' : 'info',
        observed: rows.length === 0 ? `${version}, without a known fault` : `${version}: ${listed(rows, 10)}`,
        expected: 'a minor release without a known fault that touches replication or upgrades',
        remedy: rows
          .map(({ fact, meaning, fixedIn: fixed }) => {
            return `${fact}: ${meaning}. ${fixed === null ? 'No release of this major has the fix.' : `Fixed in ${fixed}.`}`;
          })
          .join('\n'),
        rows,
      };
    },
  };
}

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
  minorRelease('source'),
  minorRelease('target'),
];
