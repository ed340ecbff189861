import {
  NAMES_DIFFERING_IN_CASE,
  NAMES_WITH_CONTROL_CHARACTERS,
} from '../../../postgres/catalog/preflight-schema.sql.js';
import { type Check, rowsCheck } from '../check.js';

export const nameChecks: Check[] = [
  rowsCheck({
    name: 'names-with-control-characters',
    severity: 'warning',
    side: 'source',
    sql: NAMES_WITH_CONTROL_CHARACTERS,
    expected: 'no name holds a line break or another control character',
    what: 'names with control characters',
    remedy: 'Rename them: dumps, logs and other tools break on them.',
  }),
  rowsCheck({
    name: 'names-differing-in-case',
    severity: 'info',
    side: 'source',
    sql: NAMES_DIFFERING_IN_CASE,
    expected: 'no two relations of a schema differ by case only',
    what: 'groups of names that differ by case only',
    remedy: 'Lockstep keeps them apart; check that other tools do.',
  }),
];
