import { createMarkerTable } from '../postgres/ddl/marker.ddl.js';
import { LOCKSTEP_SCHEMA, objectNames } from './object-names.js';
import { FORWARD_STEPS } from './steps/index.js';
import type { UpgradeRequest } from './upgrade-request.js';

export interface PlannedStep {
  step: string;
  phase: string;
  /** What is known of it before it runs. */
  does: string;
  statements: { server: string; database: string; sql: string }[];
  undo: boolean;
}

/** The steps a dry run can tell of: names carry a fresh id in the real run, and some lists are read only then. */
export function upgradePlan(request: UpgradeRequest, shortId: string): PlannedStep[] {
  const names = objectNames(shortId);
  const at = (side: 'source' | 'target', ...sql: string[]) => sql.map((text) => ({ ...request[side], sql: text }));
  const marker = createMarkerTable(LOCKSTEP_SCHEMA, names.markerTable).map(({ sql }) => sql);
  const known: Record<string, { does: string; statements?: PlannedStep['statements'] }> = {
    preflight: { does: 'Asks both servers everything that could stop the upgrade; reads only.' },
    roles: { does: 'Creates the roles the schema and the writers need on the target, writers barred.' },
    'replica-identity': {
      does:
        request.replicaIdentity === 'full-where-missing'
          ? 'ALTER TABLE … REPLICA IDENTITY FULL on the source for each table without one; undone on abort.'
          : 'Reads only: a table without replica identity stops the upgrade.',
    },
    'schema-pre-data': {
      does: 'Dumps the source’s schema and restores definitions, primary keys and replica identities.',
    },
    'marker-table': {
      does: 'Creates the table whose rows mark a position in the stream.',
      statements: [...at('target', ...marker), ...at('source', ...marker)],
    },
    publication: {
      does: 'Publishes every permanent table by name.',
      statements: at('source', `create publication "${names.publication}" for table only …`),
    },
    'replication-slot': {
      does: `Waits up to ${request.deadlines.slotMs} ms for running transactions, naming what it waits for.`,
      statements: at(
        'source',
        `select pg_catalog.pg_create_logical_replication_slot('${names.slot}', 'pgoutput', false)`,
      ),
    },
    subscription: {
      does: 'Subscribes the target; tables are copied by its table synchronisation workers.',
      statements: at(
        'target',
        `create subscription "${names.subscription}" connection '…' publication "${names.publication}" with (create_slot = false, slot_name = '${names.slot}', copy_data = true, enabled = true)`,
      ),
    },
    'initial-copy': { does: 'Waits until every table is ready.' },
    'schema-post-data': {
      does: 'Restores other indexes, constraints, foreign keys, triggers; refreshes materialized views.',
    },
    analyze: { does: 'ANALYZE of every table on the target.' },
    'catch-up': { does: 'Opens a change stream on each side (slots of their own) and waits for the lag to go.' },
    verification: { does: 'Proves both sides equal at an LSN, under writes.' },
    'pre-switchover': { does: 'Moves sequences ahead, verifies again if much was written.' },
    fence: { does: 'Bars the writer roles of the source, ends their sessions, proves that they cannot log in.' },
    drain: { does: 'Writes the marker and waits until it arrives; proves that nobody else wrote after the fence.' },
    sequences: { does: 'Sets every sequence that moved, exactly.' },
    'final-check': { does: 'Compares every key touched since the verified LSN, sequences and the schema.' },
    'way-back': {
      does: 'Stops the forward subscription; creates publication and slot of the way back.',
      statements: at(
        'target',
        `alter subscription "${names.subscription}" disable`,
        `create publication "${names.backPublication}" for table only …`,
        `select pg_catalog.pg_create_logical_replication_slot('${names.backSlot}', 'pgoutput', false)`,
      ),
    },
    'open-target': { does: 'Lets the writer roles log in on the target. From here the way back is a rollback.' },
    'reverse-subscription': {
      does: 'Brings what is written on the target back to the source.',
      statements: at(
        'source',
        `create subscription "${names.backSubscription}" connection '…' publication "${names.backPublication}" with (create_slot = false, slot_name = '${names.backSlot}', copy_data = false, enabled = true)`,
      ),
    },
    'retire-forward': { does: 'Drops the forward subscription, its slot and publication.' },
  };
  return FORWARD_STEPS.map((step) => ({
    step: step.name,
    phase: step.phase,
    does: known[step.name]?.does ?? '',
    statements: known[step.name]?.statements ?? [],
    undo: step.undo !== undefined,
  }));
}
