import { readPublications } from '../../postgres/catalog/publications.js';
import { createMarkerTable, dropMarkerTable } from '../../postgres/ddl/marker.ddl.js';
import { alterPublication, createPublication, dropPublication } from '../../postgres/ddl/publication.ddl.js';
import { identifier } from '../../postgres/quoting.js';
import { emptyPublications } from '../../postgres/replication/empty-publications.js';
import { SCHEMA_IS_EMPTY } from '../../postgres/catalog/upgrade.sql.js';
import type { Session } from '../../postgres/session.js';
import { statement, type Statement } from '../../postgres/ddl/statement.js';
import { Problem } from '../../problems/problem.js';
import type { TableName } from '../facts.js';
import { LOCKSTEP_SCHEMA } from '../object-names.js';
import { STAYS } from '../workflow/left-behind.js';
import type { Side, StepContext, UpgradeStep } from '../workflow/step.js';

const LOCK_NOT_AVAILABLE = '55P03';

/** The marker table on both sides, the subscriber's first: written only once the subscription carries it. */
export const markerTableStep: UpgradeStep = {
  name: 'marker-table',
  phase: 'prepare',

  async run(context) {
    for (const side of ['target', 'source'] as const) {
      await context.run(side, createMarkerTable(LOCKSTEP_SCHEMA, context.names.markerTable));
    }
    return { table: `${LOCKSTEP_SCHEMA}.${context.names.markerTable}` };
  },

  async undo(context) {
    if (context.isLeft('source')) return STAYS;
    for (const side of ['source', 'target'] as const) {
      if (!context.isLeft(side)) await removeMarkerTable(context, side);
    }
    return {};
  },
};

export async function removeMarkerTable(context: StepContext, side: Side): Promise<void> {
  await context.run(side, dropMarkerTable(LOCKSTEP_SCHEMA, context.names.markerTable));
  await dropSchemaIfEmpty(context, side);
}

/** Publishes every carried table and the marker; never ALL TABLES, which would also take tables made later. */
export const publicationStep: UpgradeStep = {
  name: 'publication',
  phase: 'prepare',

  async run(context) {
    const tables = await publish(context, 'source', context.names.publication);
    return { publication: context.names.publication, tables };
  },

  async undo(context) {
    // Made before the fence, by a step that is done anew with each attempt.
    const back = context.isLeft('target') ? null : await unpublish(context, 'target', context.names.backPublication);
    return (await unpublish(context, 'source', context.names.publication)) ?? back;
  },
};

/**
 * Creates the publication of all carried tables on one side, or adds those it lacks: one that was dropped and made anew
 * has left it. Answers how many tables.
 */
export async function publish(context: StepContext, side: Side, publication: string): Promise<number> {
  const session = await context.act(side);
  const tables = publishedTables(context);
  await context.run(side, await publishing(session, publication, tables));
  const [made] = await readPublications(session, publication);
  const published = made?.target.kind === 'tables' ? made.target.tables.length : 0;
  if (published !== tables.length) {
    throw new Problem('CONFLICT', `publication ${publication} holds ${published} tables instead of ${tables.length}`);
  }
  return tables.length;
}

/** What the publication needs for it to hold these tables: to be created, those it lacks, or nothing. */
export async function publishing(session: Session, name: string, tables: TableName[]): Promise<Statement[]> {
  const [existing] = await readPublications(session, name);
  if (!existing) return createPublication({ name, target: { kind: 'tables', tables } }, session.versionNum);
  if (existing.target.kind !== 'tables') return [];
  const held = new Set(existing.target.tables.map(qualified));
  const addTables = tables.filter((table) => !held.has(qualified(table)));
  return addTables.length > 0 ? alterPublication(existing, { addTables }, session.versionNum) : [];
}

/**
 * `publish` ahead of a fence, inside which it then finds nothing to do: it waits for whoever holds one of the tables, as
 * VACUUM, ANALYZE and CREATE INDEX CONCURRENTLY do, for hours sometimes.
 */
export async function publishAhead(context: StepContext, side: Side, publication: string): Promise<void> {
  try {
    await publish(context, side, publication);
  } catch (error) {
    if (!(error instanceof Problem) || error.options.sqlstate !== LOCK_NOT_AVAILABLE) throw error;
    throw new Problem(error.code, `publication ${publication} cannot be made on the ${side} yet: ${error.detail}`, {
      ...error.options,
      hint: `No writer was stopped. VACUUM, ANALYZE, CREATE INDEX CONCURRENTLY or DDL holds a table on the ${side}: let it end, or cancel it, then try again.`,
    });
  }
}

/** Every carried table and the marker. */
export function publishedTables({ facts, names }: Pick<StepContext, 'facts' | 'names'>): TableName[] {
  return [...(facts.tables ?? []), { schema: LOCKSTEP_SCHEMA, name: names.markerTable }];
}

export async function unpublish(context: StepContext, side: Side, publication: string) {
  const session = await context.act(side);
  const [existing] = await readPublications(session, publication);
  if (!existing) return null;
  await emptyPublications(session, [publication]);
  await context.run(side, dropPublication(publication));
  return { dropped: publication };
}

/** Our schema goes when nothing of another upgrade is in it. */
async function dropSchemaIfEmpty(context: StepContext, side: Side): Promise<void> {
  const [row] = await (await context.act(side)).rows<{ empty: boolean }>(SCHEMA_IS_EMPTY, [LOCKSTEP_SCHEMA]);
  if (row?.empty !== true) return;
  await context.run(side, dropOwnSchema());
}

export function dropOwnSchema(): Statement[] {
  return [statement(`drop schema if exists ${identifier(LOCKSTEP_SCHEMA)} restrict`, 'none')];
}

function qualified({ schema, name }: TableName): string {
  return identifier(schema, name);
}
