import { PHYSICAL_STANDBYS } from '../../../postgres/catalog/preflight-activity.sql.js';
import {
  ALL_TABLES_PUBLICATIONS,
  FOREIGN_LOGICAL_SLOTS,
  foreignPublications,
  SLOTS_LOSING_WAL,
  SUBSCRIPTIONS_HERE,
  TAKEN_NAMES,
} from '../../../postgres/catalog/preflight-replication.sql.js';
import { type Check, rowsCheck, seesActivity, type Side } from '../check.js';

function namesFree(side: Side): Check {
  return rowsCheck({
    name: `${side}-names-free`,
    severity: 'blocker',
    side,
    sql: TAKEN_NAMES,
    parameters: ({ options }) => [options.objectNames ?? []],
    expected: 'the names of the slots, publications and subscriptions to create are free',
    what: 'names taken',
    remedy: 'Drop what an earlier upgrade left, or give this one another name.',
  });
}

export const existingReplicationChecks: Check[] = [
  namesFree('source'),
  namesFree('target'),
  rowsCheck({
    name: 'logical-consumers',
    severity: 'warning',
    side: 'source',
    sql: FOREIGN_LOGICAL_SLOTS,
    expected: 'no other consumer decodes this database',
    what: 'logical slots of others',
    remedy: 'Plan how each consumer continues from the target: its slot is not moved.',
  }),
  rowsCheck({
    name: 'slots-losing-wal',
    severity: 'warning',
    side: 'source',
    sql: SLOTS_LOSING_WAL,
    expected: 'no slot is about to lose WAL, or has lost it',
    what: 'slots losing WAL',
    remedy: 'Drop lost slots; let the others catch up or raise max_slot_wal_keep_size.',
  }),
  rowsCheck({
    name: 'source-subscriptions',
    severity: 'warning',
    side: 'source',
    sql: SUBSCRIPTIONS_HERE,
    expected: 'the source subscribes to nothing',
    what: 'subscriptions of the source',
    remedy: 'What they bring keeps arriving on the source after the fence: move them to the target by hand.',
  }),
  rowsCheck({
    name: 'target-subscriptions',
    severity: 'blocker',
    side: 'target',
    sql: SUBSCRIPTIONS_HERE,
    expected: 'nothing else writes into the target database',
    what: 'subscriptions of the target',
    remedy: 'Drop them, or choose another database.',
  }),
  rowsCheck({
    name: 'all-tables-publications',
    severity: 'warning',
    side: 'source',
    sql: ALL_TABLES_PUBLICATIONS,
    expected: 'no publication FOR ALL TABLES',
    what: 'publications FOR ALL TABLES',
    remedy: 'They publish the marker table too, and are not moved to the target.',
  }),
  rowsCheck({
    name: 'publications-not-moved',
    severity: 'warning',
    side: 'source',
    sql: ({ source }) => foreignPublications(source.versionNum),
    expected: 'no publication of others',
    what: 'publications of others',
    remedy:
      'They are not created on the target: create them there, with their row filters and column lists, for whoever subscribes.',
  }),
  seesActivity(
    'source',
    rowsCheck({
      name: 'source-standbys',
      severity: 'info',
      side: 'source',
      sql: PHYSICAL_STANDBYS,
      expected: 'no standby streams from the source',
      what: 'standbys',
      remedy:
        'The slots of the upgrade are on the primary alone: after a failover of the source the upgrade must be aborted and begun again. Standbys of the target are yours to make.',
    }),
  ),
];
