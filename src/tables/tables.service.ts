import { Injectable } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { carryOut, type Change, type ChangeOptions, plan } from '../changes/change.js';
import { type IdentityIndex, readIdentityIndexes } from '../postgres/catalog/table-indexes.js';
import { readPublishingChanges } from '../postgres/catalog/publishing.js';
import { readWriteCounts, type WriteCounts } from '../postgres/catalog/table-writes.js';
import {
  readIncomparableColumns,
  readTable,
  readTables,
  type ReplicaIdentity,
  type Table,
  type TableName,
  type TablePage,
} from '../postgres/catalog/tables.js';
import { COMBINATION_RULES, type RuleName } from '../postgres/ddl/options/combination-rules.js';
import { type ReplicaIdentitySpec, setReplicaIdentity } from '../postgres/ddl/replica-identity.ddl.js';
import type { Session } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { type TableWrites, writesOf } from './write-rates.js';

/** A table as the API shows it. */
export interface TableView extends Omit<Table, 'oid' | 'replicaIdentity'> {
  replicaIdentity: ReplicaIdentity & { indexes: IdentityIndex[] };
  writes: TableWrites;
}

/** What should be known of a replica identity; nothing is refused for it. */
export interface IdentityWarning {
  rule: RuleName;
  detail: string;
}

export interface IdentityChange extends Change<TableView> {
  warnings: IdentityWarning[];
}

/** An index that cannot identify rows: not unique, deferrable, partial, over expressions or nullable columns. */
const UNFIT_INDEX_SQLSTATES = new Set(['42809', '0A000', '55000']);
const LOCK_TIMEOUT = '55P03';

/** Tables of any database of any registered server. */
@Injectable()
export class TablesService {
  constructor(private readonly servers: ServersService) {}

  /**
   * By schema and name. With `rateSeconds` the write counters are read twice, that far apart; without, rates are not
   * known.
   */
  tables(server: string, database: string, page: TablePage = {}, rateSeconds?: number): Promise<TableView[]> {
    return this.views(server, database, (session) => readTables(session, page), rateSeconds);
  }

  /** Rejects with NOT_FOUND. */
  async table(server: string, database: string, name: TableName, rateSeconds?: number): Promise<TableView> {
    const read = async (session: Session) => [await requireTable(session, name)];
    const [view] = await this.views(server, database, read, rateSeconds);
    return view!;
  }

  /** Rejects with CONFLICT and the reason when the index cannot identify rows. */
  async setReplicaIdentity(
    server: string,
    database: string,
    name: TableName,
    spec: ReplicaIdentitySpec,
    { dryRun = false }: ChangeOptions = {},
  ): Promise<IdentityChange> {
    const statements = setReplicaIdentity(name.schema, name.name, spec);
    const change = await this.servers.withSession(server, database, async (session) => {
      const table = await requireTable(session, name);
      const indexes = await readIdentityIndexes(session, [table.oid]);
      const incomparable = await readIncomparableColumns(session, table.oid);
      refuseUnfit(table, indexes.get(table.oid) ?? [], spec, incomparable);
      const warnings = [
        ...(await failingWrites(session, table, indexes.get(table.oid) ?? [], spec, incomparable)),
        ...failingApply(spec, incomparable),
      ];
      // What is so already is not worth waiting for everybody who uses the table.
      if (isSet(table.replicaIdentity, spec)) return { statements: plan({ server, database }, []), warnings };
      const planned = plan({ server, database }, statements);
      if (!dryRun) await carryOut(session, statements).catch(explainFailure);
      return { statements: planned, warnings };
    });
    return { ...change, result: dryRun ? null : await this.table(server, database, name) };
  }

  private async views(
    server: string,
    database: string,
    read: (session: Session) => Promise<Table[]>,
    rateSeconds: number | undefined,
  ): Promise<TableView[]> {
    const { tables, indexes, first } = await this.servers.withSession(server, database, async (session) => {
      const tables = await read(session);
      const oids = tables.map(({ oid }) => oid);
      const indexes = await readIdentityIndexes(session, oids);
      return { tables, indexes, first: await readWriteCounts(session, oids) };
    });
    const second = rateSeconds === undefined ? null : await this.readAgain(server, database, tables, rateSeconds);
    return tables.map((table) => {
      const { oid, replicaIdentity, ...rest } = table;
      return {
        ...rest,
        replicaIdentity: { ...replicaIdentity, indexes: indexes.get(oid) ?? [] },
        writes: second === null ? writesOf(table, null, first) : writesOf(table, first, second),
      };
    });
  }

  /** The session is given back meanwhile: others may need it. */
  private async readAgain(
    server: string,
    database: string,
    tables: Table[],
    rateSeconds: number,
  ): Promise<WriteCounts> {
    await delay(rateSeconds * 1000);
    const oids = tables.map(({ oid }) => oid);
    return this.servers.withSession(server, database, (session) => readWriteCounts(session, oids));
  }
}

async function requireTable(session: Session, table: TableName): Promise<Table> {
  const found = await readTable(session, table);
  if (found) return found;
  throw new Problem(
    'NOT_FOUND',
    `there is no table ${JSON.stringify(table.name)} in schema ${JSON.stringify(table.schema)}`,
  );
}

/** Before the statement, so that a dry run refuses the same, and the reasons are all named at once. */
function refuseUnfit(
  table: Table,
  indexes: IdentityIndex[],
  spec: ReplicaIdentitySpec,
  incomparable: readonly string[],
): void {
  if (table.kind === 'foreign' || table.kind === 'materialized-view') {
    throw new Problem('CONFLICT', `a replica identity would serve nothing: ${table.reason ?? table.kind}`);
  }
  if (spec.kind !== 'index') return;
  const chosen = indexes.find(({ name }) => name === spec.index);
  if (chosen?.fit) return;
  const fit = indexes.filter((index) => index.fit).map(({ name }) => JSON.stringify(name));
  const hint =
    fit.length === 0
      ? 'No index of the table can: create one that is unique, not deferrable, not partial, and on NOT NULL columns only' +
        (incomparable.length === 0 ? '; or set it to full.' : '.')
      : `Indexes that can: ${fit.join(', ')}.`;
  const name = JSON.stringify(spec.index);
  throw chosen === undefined
    ? new Problem('NOT_FOUND', `the table has no index ${name}`, { hint })
    : new Problem('CONFLICT', `the index ${name} cannot identify rows: ${chosen.reason}`, { hint });
}

/** With an identity that is none, the publisher itself refuses what is published. A partitioned table has no rows. */
async function failingWrites(
  session: Session,
  table: Table,
  indexes: IdentityIndex[],
  { kind }: ReplicaIdentitySpec,
  incomparable: readonly string[],
): Promise<IdentityWarning[]> {
  const isNone =
    kind === 'nothing' || (kind === 'default' && !indexes.some(({ primaryKey, fit }) => primaryKey && fit));
  if (!isNone || table.kind !== 'table') return [];
  const publications = await readPublishingChanges(session, table.oid);
  if (publications.length === 0) return [];
  const names = publications.map((name) => JSON.stringify(name)).join(', ');
  const why = kind === 'nothing' ? 'nothing identifies its rows' : 'it has no primary key that identifies its rows';
  const detail = `every UPDATE and DELETE of the table that is published fails from then on: ${why}, and it is published by ${names}`;
  const instead =
    incomparable.length === 0
      ? 'Set it to full, or to an index that can identify rows.'
      : `Set it to an index that can identify rows, not to full: subscribers cannot compare ${listed(incomparable)}.`;
  return [{ rule: 'identity-usable', detail: `${detail}. ${instead}` }];
}

/** The publisher takes full for any table; subscribers without a key of their own cannot find its rows by it. */
function failingApply({ kind }: ReplicaIdentitySpec, incomparable: readonly string[]): IdentityWarning[] {
  if (kind !== 'full' || incomparable.length === 0) return [];
  const detail = `values of ${listed(incomparable)} cannot be compared: UPDATE and DELETE fail on a subscriber whose table has no primary key or replica identity index`;
  return [
    {
      rule: 'full-compares',
      detail: `${detail}. ${COMBINATION_RULES['full-compares'].instead}`,
    },
  ];
}

function listed(columns: readonly string[]): string {
  return columns.map((column) => JSON.stringify(column)).join(', ');
}

function isSet(current: ReplicaIdentity, spec: ReplicaIdentitySpec): boolean {
  return current.kind === spec.kind && (spec.kind !== 'index' || current.index === spec.index);
}

function explainFailure(error: unknown): never {
  if (!(error instanceof Problem)) throw error;
  const { sqlstate = '' } = error.options;
  if (sqlstate === LOCK_TIMEOUT) {
    const hint = 'Somebody uses the table. Nothing was changed, and nobody waits behind us any more: try again later.';
    throw new Problem(error.code, error.detail, { ...error.options, hint, cause: error });
  }
  // The index was changed since it was looked at, or the server knows a reason that we do not.
  if (!UNFIT_INDEX_SQLSTATES.has(sqlstate)) throw error;
  throw new Problem('CONFLICT', error.detail, {
    ...error.options,
    hint: 'Use a unique index that is not deferrable, not partial, and on NOT NULL columns only; or set it to full.',
    cause: error,
  });
}
