import {
  COLUMNS_LIKE_LARGE_OBJECTS,
  LARGE_OBJECTS,
  RELATIONS_OF_KIND,
  TEMPORARY_TABLES,
} from '../../../postgres/catalog/preflight-relations.sql.js';
import {
  FOREIGN_SERVER_ADDRESSES,
  type ForeignServerRow,
} from '../../../postgres/catalog/preflight-configuration.sql.js';
import { DATABASE_SETTINGS } from '../../../postgres/catalog/preflight-server.sql.js';
import {
  EXTENSION_CONFIGURATION,
  FOREIGN_SERVERS,
  TABLESPACES_IN_USE,
} from '../../../postgres/catalog/preflight-schema.sql.js';
import { type Check, listed, rowsCheck } from '../check.js';
import { LOOPBACK } from './servers.js';

function relations(name: string, kinds: string[], persistence: 'p' | 'u', what: string, remedy: string): Check {
  return rowsCheck({
    name,
    severity: 'warning',
    side: 'source',
    sql: RELATIONS_OF_KIND,
    parameters: () => [kinds, persistence],
    expected: `no ${what}: logical replication does not carry them`,
    what,
    remedy,
  });
}

/** What exists on the source and logical replication never carries. */
export const notCarriedChecks: Check[] = [
  {
    name: 'large-objects',
    severity: 'warning',
    sql: () => LARGE_OBJECTS,
    judge: async ({ source }) => {
      const { count } = await source.row<{ count: number }>(LARGE_OBJECTS);
      const rows = count === 0 ? [] : await source.rows(COLUMNS_LIKE_LARGE_OBJECTS);
      return {
        passed: count === 0,
        observed: `${count} large objects${rows.length === 0 ? '' : `, perhaps named by ${listed(rows)}`}`,
        expected: 'no large objects: logical replication does not carry them',
        remedy: 'Copy them by hand while the source is fenced, or store them in bytea columns first.',
        rows,
      };
    },
  },
  relations(
    'unlogged-tables',
    ['r', 'p', 'S'],
    'u',
    'unlogged tables and sequences',
    'alter table ... set logged; or fill them again on the target.',
  ),
  relations('foreign-tables', ['f'], 'p', 'foreign tables', 'Only their definition is moved; check it on the target.'),
  relations(
    'materialized-views',
    ['m'],
    'p',
    'materialized views',
    'refresh materialized view on the target before it is opened.',
  ),
  rowsCheck({
    name: 'temporary-tables',
    severity: 'info',
    side: 'source',
    sql: TEMPORARY_TABLES,
    expected: 'no session keeps temporary tables',
    what: 'temporary tables',
    remedy: 'They end with their sessions at the fence.',
  }),
  rowsCheck({
    name: 'extension-configuration',
    severity: 'warning',
    side: 'source',
    sql: EXTENSION_CONFIGURATION,
    expected: 'no extension keeps user data in tables of its own',
    what: 'tables of extensions that may hold user data',
    remedy: 'They are not published: carry their rows as the extension advises.',
  }),
  rowsCheck({
    name: 'foreign-servers',
    severity: 'warning',
    side: 'source',
    sql: FOREIGN_SERVERS,
    expected: 'no foreign servers',
    what: 'foreign servers',
    remedy: 'Check their addresses and user mappings from the target; passwords are not moved.',
  }),
  {
    name: 'foreign-servers-at-source',
    severity: 'warning',
    sql: () => FOREIGN_SERVER_ADDRESSES,
    judge: async ({ source, options }) => {
      const { host, port } = options.sourceAddress!;
      const found = await source.rows<ForeignServerRow>(FOREIGN_SERVER_ADDRESSES);
      // Wrappers of other systems (files, other databases) name no host, or one with a port of their own.
      const rows = found.filter((server) => {
        if (!['postgres_fdw', 'dblink_fdw'].includes(server.wrapper) && server.host === null) return false;
        if (Number(server.port ?? 5432) !== port) return false;
        return server.host === null || server.host === host || LOOPBACK.test(server.host);
      });
      return {
        passed: rows.length === 0,
        observed: rows.length === 0 ? 'none' : `${rows.length} foreign servers: ${listed(rows)}`,
        expected: 'no foreign server points at the source itself, by the address that Lockstep knows or as localhost',
        remedy:
          'On the target they would still write to the old server, or localhost would mean the target: alter server ... options (set host ...) there.',
        rows,
      };
    },
  },
  rowsCheck({
    name: 'tablespaces',
    severity: 'warning',
    side: 'source',
    sql: TABLESPACES_IN_USE,
    expected: 'everything lies in the default tablespace',
    what: 'tablespaces in use',
    remedy: 'Create them on the target, or let everything go to its default tablespace.',
  }),
  rowsCheck({
    name: 'database-settings',
    severity: 'warning',
    side: 'source',
    sql: DATABASE_SETTINGS,
    expected: 'no settings stored for the database',
    what: 'settings stored for the database',
    remedy: 'Set them on the target too (alter database ... set, alter role ... in database ... set).',
  }),
];
