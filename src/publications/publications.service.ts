import { Injectable } from '@nestjs/common';
import { carryOut, type Change, type ChangeOptions, type Place, plan } from '../changes/change.js';
import { explainPrivilege } from '../changes/missing-privilege.js';
import { readPublishingRights } from '../postgres/catalog/publication-objects.js';
import {
  type Publication,
  type PublicationPage,
  readPublications,
  readPublishedOperations,
} from '../postgres/catalog/publications.js';
import { readPublishedTables } from '../postgres/catalog/published-tables.js';
import type { TablePage } from '../postgres/catalog/tables.js';
import {
  alterPublication,
  createPublication,
  dropPublication,
  emptyPublication,
} from '../postgres/ddl/publication.ddl.js';
import { checkPatch } from '../postgres/ddl/publication-edit.js';
import { type PublicationPatch, type PublicationSpec, wantedTables } from '../postgres/ddl/publication-spec.js';
import type { Statement } from '../postgres/ddl/statement.js';
import { emptyPublications } from '../postgres/replication/empty-publications.js';
import type { Session } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { keptAfterAll, leftEmpty, refill } from './emptied-publication.js';
import { explainRefusal } from './publication-refusal.js';
import {
  type EffectiveTable,
  effectiveTables,
  type PublicationWarning,
  refuseFailingLists,
  warningOfName,
  warningsForSubscribers,
  warningsOf,
} from './publication-warnings.js';

/** A publication, and what should be known of it. */
export interface PublicationDetail extends Publication {
  warnings: PublicationWarning[];
}

/** What was, or in a dry run would be, done; the warnings are those of the result. */
export interface PublicationChange extends Change<PublicationDetail> {
  warnings: PublicationWarning[];
}

interface Seen {
  publication: Publication;
  tables: EffectiveTable[];
}

/** Publications of any database of any registered server. */
@Injectable()
export class PublicationsService {
  constructor(private readonly servers: ServersService) {}

  /** By name. */
  list(server: string, database: string, page: PublicationPage = {}): Promise<Publication[]> {
    return this.servers.withSession(server, database, (session) => readPublications(session, null, page));
  }

  /** Rejects with NOT_FOUND. */
  get(server: string, database: string, name: string): Promise<PublicationDetail> {
    return this.servers.withSession(server, database, async (session) => {
      const { publication, tables } = await look(session, name);
      return { ...publication, warnings: await warningsNow(session, { publication, tables }) };
    });
  }

  /** What the publication sends, table by table, by schema and name. Rejects with NOT_FOUND. */
  tables(server: string, database: string, name: string, page: TablePage = {}): Promise<EffectiveTable[]> {
    return this.servers.withSession(server, database, async (session) => {
      const publish = await readPublishedOperations(session, name);
      if (publish === null) throw unknownPublication(name);
      return effectiveTables({ publish }, await readPublishedTables(session, name, page));
    });
  }

  /**
   * Rejects with CONFLICT where a filter or column list would make writes fail. What the version cannot do is refused
   * before any connection is made. A dry run is the same statements in a transaction that is rolled back.
   */
  async create(
    server: string,
    database: string,
    spec: PublicationSpec,
    { dryRun = false }: ChangeOptions = {},
  ): Promise<PublicationChange> {
    createPublication(spec, await this.knownVersion(server));
    return this.servers.withSession(server, database, async (session) => {
      const statements = createPublication(spec, session.versionNum);
      const planned = plan({ server, database }, statements);
      const work = async () => {
        const seen = await changed(session, statements, spec.name, dryRun);
        refuseFailingLists(wantedTables(spec), seen.tables);
        return { ...seen, warnings: await warningsNow(session, seen) };
      };
      const { publication, warnings } = await session.transaction(work).catch(async (error: unknown) => {
        throw await explainRefusal(session, error, spec);
      });
      return { statements: planned, warnings, result: dryRun ? null : { ...publication, warnings } };
    });
  }

  /** Changes what `patch` names and nothing else, in one transaction; never drops and creates anew. As `create`. */
  async patch(
    server: string,
    database: string,
    name: string,
    patch: PublicationPatch,
    { dryRun = false }: ChangeOptions = {},
  ): Promise<PublicationChange> {
    checkPatch(patch, await this.knownVersion(server));
    return this.servers.withSession(server, database, async (session) => {
      let current: Publication | null = null;
      const work = async () => {
        // What is read must still hold when it is changed: two edits of one publication go one after the other.
        await session.rows(`select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))`, [
          `lockstep publication ${name}`,
        ]);
        const before = await look(session, name);
        current = before.publication;
        const statements = alterPublication(current, patch, session.versionNum);
        const planned = plan({ server, database }, statements);
        const after = statements.length === 0 ? before : await changed(session, statements, patch.name ?? name, dryRun);
        refuseFailingLists(wantedTables(patch), after.tables, before.tables);
        const warnings = [...(await warningsNow(session, after)), ...warningsForSubscribers(before, after)];
        return { after: after.publication, planned, warnings };
      };
      const { after, planned, warnings } = await session.transaction(work).catch(async (error: unknown) => {
        throw await explainRefusal(session, error, patch, current);
      });
      return { statements: planned, warnings, result: dryRun ? null : { ...after, warnings } };
    });
  }

  /**
   * Empties it first, so that no writer of its tables fails; see `emptyPublications`. Where it then cannot be dropped, it
   * is given back what it published.
   */
  drop(
    server: string,
    database: string,
    name: string,
    { dryRun = false }: ChangeOptions = {},
  ): Promise<Change<{ name: string }>> {
    return this.servers.withSession(server, database, async (session) => {
      const publication = await requirePublication(session, name);
      const drop = dropPublication(name);
      const planned = plan({ server, database }, [...emptyPublication(publication), ...drop]);
      if (dryRun) return { statements: planned, result: null };
      await emptyPublications(session, [name]).catch(async (error: unknown) => {
        throw await explainPrivilege(session, error, drop);
      });
      try {
        await carryOut(session, drop);
      } catch (error) {
        throw emptyPublication(publication).length === 0
          ? error
          : await this.notDropped({ server, database }, session, publication, error);
      }
      return { statements: planned, result: { name } };
    });
  }

  private async notDropped(
    { server, database }: Place,
    session: Session,
    publication: Publication,
    error: unknown,
  ): Promise<unknown> {
    try {
      const work = (alive: Session) => refill(alive, publication);
      await (session.alive ? work(session) : this.servers.withSession(server, database, work));
      return keptAfterAll(error, publication);
    } catch {
      return leftEmpty(error, publication, session.versionNum);
    }
  }

  /** As it was last seen; a server of another major version is another cluster, so this one cannot have changed. */
  private async knownVersion(server: string): Promise<number> {
    return (await this.servers.facts(server)).versionNum;
  }
}

/** Runs the statements in the transaction that is open and looks at what came of them; a dry run then undoes them. */
async function changed(
  session: Session,
  statements: readonly Statement[],
  name: string,
  dryRun: boolean,
): Promise<Seen> {
  if (dryRun) await session.execute('savepoint rehearsal');
  await carryOut(session, statements, { inTransaction: true });
  const seen = await look(session, name);
  if (dryRun) await session.execute('rollback to savepoint rehearsal');
  return seen;
}

async function look(session: Session, name: string): Promise<Seen> {
  const publication = await requirePublication(session, name);
  return { publication, tables: effectiveTables(publication, await readPublishedTables(session, name, {})) };
}

async function warningsNow(session: Session, { publication, tables }: Seen): Promise<PublicationWarning[]> {
  const { walLevel } = await readPublishingRights(session);
  return [...warningsOf(tables, walLevel, session.versionNum), ...warningOfName(publication)];
}

async function requirePublication(session: Session, name: string): Promise<Publication> {
  const [publication] = await readPublications(session, name);
  if (!publication) throw unknownPublication(name);
  return publication;
}

function unknownPublication(name: string): Problem {
  return new Problem('NOT_FOUND', `there is no publication ${JSON.stringify(name)} in this database`);
}
