import {
  DISABLED_TRIGGERS,
  EVENT_TRIGGERS,
  RULES_FIRING_ON_APPLY,
  TRIGGERS_FIRING_ON_APPLY,
} from '../../../postgres/catalog/preflight-schema.sql.js';
import { type Check, rowsCheck } from '../check.js';

export const triggerChecks: Check[] = [
  rowsCheck({
    name: 'triggers-firing-on-apply',
    severity: 'warning',
    side: 'source',
    sql: TRIGGERS_FIRING_ON_APPLY,
    expected: 'no trigger is ENABLE ALWAYS or REPLICA',
    what: 'triggers that fire while changes are applied',
    remedy: 'They run again for each change on the other side; what they write there is a difference.',
  }),
  rowsCheck({
    name: 'disabled-triggers',
    severity: 'info',
    side: 'source',
    sql: DISABLED_TRIGGERS,
    expected: 'no trigger is disabled',
    what: 'disabled triggers',
    remedy: 'They are disabled on the target too.',
  }),
  rowsCheck({
    name: 'rules-firing-on-apply',
    severity: 'warning',
    side: 'source',
    sql: RULES_FIRING_ON_APPLY,
    expected: 'no rule is ENABLE ALWAYS or REPLICA',
    what: 'rules set to ALWAYS or REPLICA',
    remedy:
      'Applied changes do not pass through rules: what the rule did on the source arrives, the rule does not run.',
  }),
  rowsCheck({
    name: 'event-triggers',
    severity: 'warning',
    side: 'source',
    sql: EVENT_TRIGGERS,
    expected: 'no event trigger is enabled',
    what: 'event triggers',
    remedy: 'They may fire on the DDL of the upgrade, and need a superuser to be created on the target.',
  }),
];
