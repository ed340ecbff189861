import { dropMarkerTable } from '../../postgres/ddl/marker.ddl.js';
import { dropPublication, takeTablesOut } from '../../postgres/ddl/publication.ddl.js';
import { dropReplicationSlot } from '../../postgres/ddl/replication-slot.ddl.js';
import { statement, type Statement } from '../../postgres/ddl/statement.js';
import { disableSubscription, dropSubscriptionKeepingSlot } from '../../postgres/ddl/subscription.ddl.js';
import { identifier } from '../../postgres/quoting.js';
import { createSlotStatement } from '../../verification/link/link-plan.js';
import { LOCKSTEP_SCHEMA } from '../object-names.js';
import { dropOwnSchema, publishedTables } from '../steps/publication.step.js';
import { subscribe } from '../steps/subscription.step.js';
import type { Side } from '../workflow/step.js';
import type { Bar, Known, Planned } from './known.js';

/** What a step does, and the statements known before it runs. */
export interface Described {
  does: string;
  /** Sides it changes; those it only reads are not named. */
  sides: Side[];
  statements?: [Side, Statement[]][];
}

/** Tells of a step whether it is done. */
export type IsDone = (step: string) => boolean;

export type Describe = (known: Known, isDone: IsDone) => Described | Promise<Described>;

export const readsOnly = (does: string): Described => ({ does, sides: [] });

/**
 * What makes the publication hold every carried table: once it is there, only those it lacks. In words, where it is not
 * known.
 */
export async function publishDescribed(known: Known, side: Side, name: string, does: string): Promise<Described> {
  if (known.facts.tables === undefined) {
    const sql = `create publication ${identifier(name)} for table only …`;
    const lock = 'SHARE UPDATE EXCLUSIVE on each listed table: does not block reads or writes';
    return { does, sides: [side], statements: [[side, [statement(sql, lock)]]] };
  }
  return plannedDescribed(side, await known.publishing(side, name), does);
}

/** The statements; or, in words, why they are not known. */
export function plannedDescribed(side: Side, planned: Planned, does: string): Described {
  if ('unknown' in planned) return untold(side, does, planned.unknown);
  return { does, sides: [side], statements: [[side, planned.statements]] };
}

export function unpublishStatements(known: Known, side: Side, name: string): [Side, Statement[]] {
  const tables = known.facts.tables === undefined ? [] : publishedTables(known);
  return [side, [...takeTablesOut(name, tables), ...dropPublication(name)]];
}

export function slotStatements(side: Side, slot: string): [Side, Statement[]] {
  return [side, [createSlotStatement(slot)]];
}

export function dropSlotStatements(side: Side, slot: string): [Side, Statement[]] {
  return [side, dropReplicationSlot(slot)];
}

export function forwardLinkStatements(known: Known, copyData: boolean): [Side, Statement[]] {
  const { subscription: name, publication, slot } = known.names;
  const { source, target } = known.versions;
  return [
    'target',
    subscribe({ name, publication, slot, copyData, connection: known.conninfo.source }, target, source),
  ];
}

export function backLinkStatements(known: Known): [Side, Statement[]] {
  const { backSubscription: name, backPublication: publication, backSlot: slot } = known.names;
  const { source, target } = known.versions;
  const link = { name, publication, slot, copyData: false, connection: known.conninfo.target };
  return ['source', subscribe(link, source, target)];
}

export function disableStatements(side: Side, subscription: string): [Side, Statement[]] {
  return [side, disableSubscription(subscription)];
}

/** Disabled; once its workers are gone, dropped without asking the publisher. */
export function unsubscribeStatements(side: Side, subscription: string): [Side, Statement[]] {
  return [side, dropSubscriptionKeepingSlot(subscription)];
}

export function dropMarkerStatements(known: Known, side: Side): [Side, Statement[]] {
  return [side, [...dropMarkerTable(LOCKSTEP_SCHEMA, known.names.markerTable), ...dropOwnSchema()]];
}

/** The bar's statements, all in one transaction; or, in words, why they are not known. */
export function barDescribed(side: Side, bar: Bar, does: string): Described {
  if ('unknown' in bar) return untold(side, does, bar.unknown);
  const roles = bar.roles.map(({ name, method }) => (method === 'nologin' ? name : `${name} (by CONNECT)`));
  const who = roles.length > 0 ? ` Roles: ${roles.join(', ')}.` : ' No role is concerned.';
  const lock = 'no table lock; the roles and the database are locked against other changes';
  return {
    does: does + who,
    sides: [side],
    statements: [[side, bar.statements.map((sql) => statement(sql, lock))]],
  };
}

function untold(side: Side, does: string, unknown: string): Described {
  return { does: `${does} What that comes to cannot be told now: ${unknown}.`, sides: [side] };
}
