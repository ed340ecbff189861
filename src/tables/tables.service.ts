import { Injectable } from '@nestjs/common';
import { carryOut, type Change, type ChangeOptions, plan } from '../changes/change.js';
import { readSequences, type Sequence, type SequencePage } from '../postgres/catalog/sequences-list.js';
import { readTable, readTables, type Table, type TableName, type TablePage } from '../postgres/catalog/tables.js';
import { type ReplicaIdentitySpec, setReplicaIdentity } from '../postgres/ddl/replica-identity.ddl.js';
import type { Session } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';

/** An index that cannot identify rows: not unique, deferrable, partial, over expressions or nullable columns. */
const UNFIT_INDEX_SQLSTATES = new Set(['42809', '0A000', '55000']);

/** Tables and sequences of any database of any registered server. */
@Injectable()
export class TablesService {
  constructor(private readonly servers: ServersService) {}

  /** By schema and name. */
  tables(server: string, database: string, page: TablePage = {}): Promise<Table[]> {
    return this.servers.withSession(server, database, (session) => readTables(session, page));
  }

  /** By schema and name. */
  sequences(server: string, database: string, page: SequencePage = {}): Promise<Sequence[]> {
    return this.servers.withSession(server, database, (session) => readSequences(session, page));
  }

  /** Rejects with CONFLICT and the server's reason when the index cannot identify rows. */
  setReplicaIdentity(
    server: string,
    database: string,
    table: TableName,
    spec: ReplicaIdentitySpec,
    { dryRun = false }: ChangeOptions = {},
  ): Promise<Change<Table>> {
    return this.servers.withSession(server, database, async (session) => {
      await requireTable(session, table);
      const statements = setReplicaIdentity(table.schema, table.name, spec);
      const planned = plan({ server, database }, statements);
      if (dryRun) return { statements: planned, result: null };
      try {
        await carryOut(session, statements);
      } catch (error) {
        throw asUnfitIndex(error);
      }
      return { statements: planned, result: await requireTable(session, table) };
    });
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

function asUnfitIndex(error: unknown): unknown {
  if (!(error instanceof Problem) || !UNFIT_INDEX_SQLSTATES.has(error.options.sqlstate ?? '')) return error;
  return new Problem('CONFLICT', error.detail, {
    ...error.options,
    hint: 'Use a unique index that is not deferrable, not partial, and on NOT NULL columns only; or set it to full.',
    cause: error,
  });
}
