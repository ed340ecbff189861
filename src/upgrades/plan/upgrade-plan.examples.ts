import { plan } from '../../changes/change.js';
import { setLogin, setReadOnly } from '../../postgres/ddl/fence.ddl.js';
import { dropReplicationSlot } from '../../postgres/ddl/replication-slot.ddl.js';
import { disableSubscription, dropSubscriptionKeepingSlot } from '../../postgres/ddl/subscription.ddl.js';
import { TABLES_WITHOUT_IDENTITY } from '../../postgres/catalog/preflight-relations.sql.js';
import { PG14, PG18 } from '../../shared/server-version.js';
import { createSlotStatement } from '../../verification/link/link-plan.js';
import { objectNames } from '../object-names.js';
import { subscribe } from '../steps/subscription.step.js';
import type { PreflightResultDto } from '../upgrade-view.js';
import type { Side } from '../workflow/step.js';
import { barDescribed } from './described.js';
import type { NewUpgradePlanDto, PlannedStepDto, PreflightAnswerDto, UpgradePlanDto } from './upgrade-plan.dto.js';

/* Of steps and checks only one or two are shown, where the service answers with all of them. */

export const SOURCE = { server: 'orders-14', database: 'orders' };
export const TARGET = { server: 'orders-18', database: 'orders' };
const NAMES = objectNames('5a1c09e37b');

const { slot, subscription, publication, backSlot, backSubscription } = NAMES;

export const PASSED: PreflightResultDto = {
  ...{ check: 'versions', severity: 'blocker', passed: true, observed: '14.23 to 18.6' },
  ...{ expected: 'both 13 or newer, the target not older than the source', remedy: null },
  sql: `select pg_catalog.current_setting('server_version_num')`,
};

const MEND = 'alter table public.log add primary key (...); or: alter table public.log replica identity full;';

const BLOCKER: PreflightResultDto = {
  ...{ check: 'replica-identity', severity: 'blocker', passed: false },
  observed: '1 tables without: public.log',
  expected: 'every table has a primary key or another replica identity',
  remedy: `${MEND}\nOr ask for replicaIdentity "full-where-missing".`,
  sql: TABLES_WITHOUT_IDENTITY.trim(),
  rows: [
    {
      ...{ object: 'public.log', replicaIdentity: 'd', usableIndex: null, incomparable: [], estimatedRows: 52_000 },
      remedy: MEND,
    },
  ],
};

export const PREFLIGHT: PreflightAnswerDto = { preflight: [PASSED, BLOCKER], blocked: true };

const CONNECTION = "host='10.0.0.14' port='5432' dbname='orders' user='postgres' password='…'";

export const NEW_UPGRADE_PLAN: NewUpgradePlanDto = {
  preflight: [PASSED],
  steps: [
    {
      ...{ step: 'replication-slot', phase: 'copy', sides: ['source'], undo: true },
      does: 'Creates the slot; waits up to 60000 ms for running transactions, naming what it waits for.',
      statements: plan(SOURCE, [createSlotStatement(slot)]),
    },
    {
      ...{ step: 'subscription', phase: 'copy', sides: ['target'], undo: true },
      does: 'Subscribes the target; tables are copied by its table synchronisation workers.',
      statements: plan(
        TARGET,
        subscribe({ name: subscription, publication, slot, copyData: true, connection: CONNECTION }, PG18, PG14),
      ),
    },
  ],
};

const ROLES = [{ name: 'app', method: 'nologin' as const }];

export const APPROVAL_PLAN: UpgradePlanDto = {
  does: 'Takes the gate switchover and goes on.',
  steps: [
    {
      ...{ step: 'fence', phase: 'switchover', undo: true },
      ...barred(
        'source',
        'Bars the writer roles of the source, ends their sessions (pg_terminate_backend) within 5000 ms, reads the fence’s LSN. Nobody writes from here until one side is opened.',
        [setLogin('app', false), setReadOnly('app', SOURCE.database, 'on')],
      ),
    },
    {
      ...{ step: 'sequences', phase: 'switchover', sides: ['target'], statements: [], undo: false },
      does: 'Sets every sequence that moved since, exactly.',
    },
  ],
  then: null,
};

export const ABORT_PLAN: UpgradePlanDto = {
  does: 'Stops what is at work, then undoes every step that was begun, the fence first. What is not there is passed over.',
  steps: [
    {
      ...{ step: 'subscription', phase: 'aborting', sides: ['source', 'target'], undo: false },
      does: 'Drops the subscription, and on the source the slots of table synchronisations that were not finished.',
      statements: plan(TARGET, dropSubscriptionKeepingSlot(subscription)),
    },
    {
      ...{ step: 'replication-slot', phase: 'aborting', does: 'Drops the slot.', sides: ['source'], undo: false },
      statements: plan(SOURCE, dropReplicationSlot(slot)),
    },
  ],
  then: null,
};

export const ROLLBACK_PLAN: UpgradePlanDto = {
  does: 'Brings traffic back to the source with every write made on the target. A failure before the source is opened opens the target again.',
  steps: [
    {
      ...{ step: 'rollback-fence', phase: 'rolling-back', undo: true },
      ...barred(
        'target',
        'Bars the writer roles of the target, ends their sessions (pg_terminate_backend) within 5000 ms, and shows that they cannot log in.',
        [setLogin('app', false), setReadOnly('app', TARGET.database, 'on')],
      ),
    },
    {
      ...{ step: 'rollback-turn', phase: 'rolling-back', sides: ['source'], undo: true },
      does: 'Stops the way back and waits until its worker is gone; creates the slot of the forward link; compares the sequences of both sides once more.',
      statements: plan(SOURCE, [...disableSubscription(backSubscription), createSlotStatement(slot)]),
    },
  ],
  then: 'rests: retry switches over once more, abort puts the target back',
};

/** Of its statements those that end the way back. */
export const FINALIZE_PLAN: UpgradePlanDto = {
  does: 'Makes the upgrade final.',
  steps: [
    {
      ...{ step: 'finalize', phase: 'switched', sides: ['source', 'target'], undo: false },
      does: 'Drops everything the upgrade made for itself on both servers; there is no way back after it. What is not there any more is passed over. The source stays fenced. A source that cannot be reached is tried for about 20 s and then left as it is; the report says what to drop there.',
      statements: [
        ...plan(SOURCE, dropSubscriptionKeepingSlot(backSubscription)),
        ...plan(TARGET, dropReplicationSlot(backSlot)),
      ],
    },
  ],
  then: null,
};

export const RETRY_PLAN: UpgradePlanDto = {
  does: 'Begins the forward path again; steps that are done are passed over.',
  steps: [
    {
      ...{ step: 'verification', phase: 'verify', sides: [], statements: [], undo: false },
      does: 'Proves both sides equal at an LSN, under writes; anything else stops the upgrade.',
    },
  ],
  then: 'awaits approval of switchover',
};

/** As of a step that bars the writers, with its statements. */
function barred(side: Side, what: string, sql: string[]): Pick<PlannedStepDto, 'does' | 'sides' | 'statements'> {
  const { does, sides, statements = [] } = barDescribed(side, { roles: ROLES, statements: sql }, what);
  const place = side === 'source' ? SOURCE : TARGET;
  return { does, sides, statements: statements.flatMap(([, all]) => plan(place, all)) };
}
