import { USER_OBJECTS } from '../../../postgres/catalog/preflight-relations.sql.js';
import { type Check, rowsCheck } from '../check.js';

export const targetEmptyChecks: Check[] = [
  rowsCheck({
    name: 'target-empty',
    severity: 'blocker',
    side: 'target',
    sql: USER_OBJECTS,
    expected: 'the target database holds nothing of its own but extensions',
    what: 'objects',
    remedy: 'Choose an empty database, or drop what is in this one.',
  }),
];
