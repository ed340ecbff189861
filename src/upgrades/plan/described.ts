import { dropMarkerTable } from '../../postgres/ddl/marker.ddl.js';
import { createPublication, dropPublication, takeTablesOut } from '../../postgres/ddl/publication.ddl.js';
import { dropReplicationSlot } from '../../postgres/ddl/replication-slot.ddl.js';
import { statement, type Statement } from '../../postgres/ddl/statement.js';
import { disableSubscription, dropSubscriptionKeepingSlot } from '../../postgres/ddl/subscription.ddl.js';
import { identifier } from '../../postgres/quoting.js';
import { createSlotStatement } from '../../verification/link/link-plan.js';
import { LOCKSTEP_SCHEMA } from '../object-names.js';
import { dropOwnSchema, publishedTables } from '../steps/publication.step.js';
import { subscribe } from '../steps/subscription.step.js';
import type { Side } from '../workflow/step.js';
import type { Bar, Known } from './known.js';

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

export function publishStatements(known: Known, side: Side, name: string): [Side, Statement[]] {
  if (known.facts.tables === undefined) {
    const sql = `create publication ${identifier(name)} for table only …`;
    return [side, [statement(sql, 'SHARE UPDATE EXCLUSIVE on each listed table: does not block reads or writes')]];
  }
  const target = { kind: 'tables' as const, tables: publishedTables(known) };
  return [side, createPublication({ name, target }, known.versions[side])];
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

/** Disabled and its workers gone, then dropped without asking the publisher. */
export function unsubscribeStatements(side: Side, subscription: string): [Side, Statement[]] {
  return [side, [...disableSubscription(subscription), ...dropSubscriptionKeepingSlot(subscription)]];
}

export function dropMarkerStatements(known: Known, side: Side): [Side, Statement[]] {
  return [side, [...dropMarkerTable(LOCKSTEP_SCHEMA, known.names.markerTable), ...dropOwnSchema()]];
}

/** The bar's statements, all in one transaction; or, in words, why they are not known. */
export function barDescribed(side: Side, bar: Bar, does: string): Described {
  if ('unknown' in bar)
    return { does: `${does} What that comes to cannot be told now: ${bar.unknown}.`, sides: [side] };
  const roles = bar.roles.map(({ name, method }) => (method === 'nologin' ? name : `${name} (by CONNECT)`));
  const who = roles.length > 0 ? ` Roles: ${roles.join(', ')}.` : ' No role is concerned.';
  const lock = 'no table lock; the roles and the database are locked against other changes';
  return {
    does: does + who,
    sides: [side],
    statements: [[side, bar.statements.map((sql) => statement(sql, lock))]],
  };
}
