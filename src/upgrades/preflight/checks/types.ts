import { PG14, PG15 } from '../../../shared/server-version.js';
import {
  ANYARRAY_USERS,
  CATALOG_DEPENDENT_COLUMNS,
  ENCODING_CONVERSIONS,
  POSTFIX_OPERATORS,
  PYTHON_2_LANGUAGES,
} from '../../../postgres/catalog/preflight-schema.sql.js';
import { type Check, type PreflightContext, rowsCheck } from '../check.js';

const crosses14 = ({ source, target }: PreflightContext) => source.versionNum < PG14 && target.versionNum >= PG14;

function goneIn14(name: string, sql: string, what: string, remedy: string): Check {
  return rowsCheck({
    name,
    severity: 'blocker',
    side: 'source',
    sql,
    expected: `no ${what}: 14 does not restore them`,
    what,
    remedy,
    applies: crosses14,
  });
}

export const typeChecks: Check[] = [
  rowsCheck({
    name: 'catalog-dependent-columns',
    severity: 'warning',
    side: 'source',
    sql: CATALOG_DEPENDENT_COLUMNS,
    expected: 'no column holds names or numbers of this server',
    what: 'columns that refer to catalog objects or to this server',
    remedy:
      'Their text must mean the same on the target: check that what they name exists there before its rows arrive.',
  }),
  goneIn14('postfix-operators', POSTFIX_OPERATORS, 'postfix operators', 'drop operator, and use a function instead.'),
  goneIn14(
    'anyarray-functions',
    ANYARRAY_USERS,
    'aggregates and operators on array functions that changed their arguments',
    'Drop them, and create them again on the target with anycompatiblearray.',
  ),
  goneIn14(
    'encoding-conversions',
    ENCODING_CONVERSIONS,
    'encoding conversions of users',
    'drop conversion; its function needs another signature from 14 on.',
  ),
  rowsCheck({
    name: 'python-2',
    severity: 'blocker',
    side: 'source',
    sql: PYTHON_2_LANGUAGES,
    expected: 'no function in Python 2: 15 removed it',
    what: 'Python 2 languages',
    remedy: 'Move the functions to plpython3u.',
    applies: ({ target }) => target.versionNum >= PG15,
  }),
];
