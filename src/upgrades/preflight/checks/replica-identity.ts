import { PG18 } from '../../../shared/server-version.js';
import {
  FULL_IDENTITY_WITHOUT_EQUALITY,
  GENERATED_COLUMNS,
  GENERATED_IN_IDENTITY,
  TABLES_WITH_FULL_IDENTITY,
  TABLES_WITHOUT_IDENTITY,
} from '../../../postgres/catalog/preflight-relations.sql.js';
import { type Check, listed, rowsCheck } from '../check.js';

interface WithoutIdentity {
  [column: string]: unknown;
  object: string;
  usableIndex: string | null;
  /** Columns that the target could not find rows by: FULL is no remedy. */
  incomparable: string[];
}

function remedyFor({ object, usableIndex, incomparable }: WithoutIdentity): string {
  if (usableIndex === null && incomparable.length > 0) return `alter table ${object} add primary key (...);`;
  return usableIndex === null
    ? `alter table ${object} add primary key (...); or: alter table ${object} replica identity full;`
    : `alter table ${object} replica identity using index ${usableIndex};`;
}

/** It is refused while a table would get FULL that the target could not find rows by. */
function orFull(rows: readonly WithoutIdentity[]): string[] {
  const never = rows.filter(({ incomparable }) => incomparable.length > 0).map(({ object }) => ({ object }));
  if (never.length === rows.length) return [];
  const once = never.length === 0 ? '' : `, once ${listed(never)} can be told by a key`;
  return [`Or ask for replicaIdentity "full-where-missing"${once}.`];
}

const fullWhereMissing = { sql: () => TABLES_WITHOUT_IDENTITY, name: 'replica-identity', severity: 'blocker' as const };

export const replicaIdentityChecks: Check[] = [
  {
    ...fullWhereMissing,
    judge: async ({ source, options }) => {
      const found = await source.rows<WithoutIdentity>(TABLES_WITHOUT_IDENTITY);
      const rows = found.map((row) => ({ ...row, remedy: remedyFor(row) }));
      const expected = 'every table has a primary key or another replica identity';
      if (rows.length === 0) return { passed: true, observed: 'every table has one', expected };
      const observed = `${rows.length} tables without: ${listed(rows)}`;
      if (options.replicaIdentity === 'full-where-missing') {
        return { passed: true, observed: `${observed}; FULL is set for the time of the upgrade`, expected, rows };
      }
      const remedies = rows.slice(0, 20).map((row) => row.remedy);
      const remedy = [...remedies, ...orFull(rows)].join('\n');
      return { passed: false, observed, expected, remedy, rows };
    },
  },
  rowsCheck({
    name: 'replica-identity-full',
    severity: 'warning',
    side: 'source',
    sql: TABLES_WITH_FULL_IDENTITY,
    expected: 'no large table is found by comparing whole rows',
    what: 'tables with REPLICA IDENTITY FULL and no primary key',
    remedy: 'Each change may scan the whole table on the target; give them a key where they are large.',
  }),
  rowsCheck({
    name: 'replica-identity-full-equality',
    severity: 'blocker',
    side: 'source',
    sql: FULL_IDENTITY_WITHOUT_EQUALITY,
    parameters: ({ options }) => [options.replicaIdentity === 'full-where-missing'],
    expected: 'rows found by comparing all columns have only types with an equality',
    what: 'columns that cannot be compared',
    remedy: 'The first UPDATE or DELETE would stop the apply worker: give the table a primary key.',
  }),
  rowsCheck({
    name: 'generated-columns-in-identity',
    severity: 'blocker',
    side: 'source',
    sql: GENERATED_IN_IDENTITY,
    parameters: ({ source, target, options }) => [
      Math.max(source.versionNum, target.versionNum) >= PG18,
      options.replicaIdentity === 'full-where-missing',
    ],
    expected: 'no replica identity holds a generated column: it is not replicated (and 18 refuses the UPDATE)',
    what: 'generated columns in a replica identity',
    remedy: 'Choose a key of ordinary columns: alter table ... add primary key, or replica identity using index.',
  }),
  {
    name: 'generated-columns',
    severity: 'info',
    sql: () => GENERATED_COLUMNS,
    judge: async ({ source }) => {
      const rows = await source.rows(GENERATED_COLUMNS);
      const expected = 'computed on the target by the same expression, never published';
      const observed = rows.length === 0 ? 'none' : `${rows.length} generated columns: ${listed(rows)}`;
      return { passed: true, observed, expected, rows };
    },
  },
];
