import { INHERITED_NOT_NULL } from '../../../postgres/catalog/preflight-relations.sql.js';
import {
  FOREIGN_KEYS_TO_UNPUBLISHED,
  INVALID_INDEXES,
  NOT_VALID_CONSTRAINTS,
} from '../../../postgres/catalog/preflight-schema.sql.js';
import { type Check, rowsCheck } from '../check.js';

export const constraintChecks: Check[] = [
  rowsCheck({
    name: 'foreign-keys-to-unpublished',
    severity: 'warning',
    side: 'source',
    sql: FOREIGN_KEYS_TO_UNPUBLISHED,
    expected: 'foreign keys stay among published tables',
    what: 'foreign keys with tables of extensions',
    remedy: 'A TRUNCATE of both cannot be applied, and the referenced rows must be carried by hand.',
  }),
  rowsCheck({
    name: 'not-valid-constraints',
    severity: 'warning',
    side: 'source',
    sql: NOT_VALID_CONSTRAINTS,
    expected: 'every constraint is validated',
    what: 'NOT VALID constraints',
    remedy: 'alter table ... validate constraint; on the target they stay NOT VALID otherwise.',
  }),
  rowsCheck({
    name: 'invalid-indexes',
    severity: 'warning',
    side: 'source',
    sql: INVALID_INDEXES,
    expected: 'every index is valid',
    what: 'invalid indexes',
    remedy: 'Reindex or drop them: a dump leaves them out.',
  }),
  rowsCheck({
    name: 'inherited-not-null',
    severity: 'blocker',
    side: 'source',
    sql: INHERITED_NOT_NULL,
    expected: 'children are NOT NULL where their parent is',
    what: 'nullable columns that are NOT NULL in the parent',
    remedy: 'alter table ... alter column ... set not null on the child: restored, it would refuse the NULLs.',
  }),
];
