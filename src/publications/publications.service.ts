import { Injectable } from '@nestjs/common';
import { carryOut, type Change, type ChangeOptions, type Place, plan } from '../changes/change.js';
import {
  type Publication,
  type PublishedTable,
  readPublications,
  readPublishedTables,
} from '../postgres/catalog/publications.js';
import {
  alterPublication,
  createPublication,
  dropPublication,
  emptyPublication,
  type PublicationPatch,
  type PublicationSpec,
} from '../postgres/ddl/publication.ddl.js';
import { emptyPublications } from '../postgres/replication/empty-publications.js';
import type { Session } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';

/** A table a publication really sends, and whether the publisher would refuse to UPDATE or DELETE its rows. */
export interface EffectiveTable extends PublishedTable {
  operations: Publication['publish'];
  updatesFail: boolean;
}

/** Publications of any database of any registered server. */
@Injectable()
export class PublicationsService {
  constructor(private readonly servers: ServersService) {}

  list(server: string, database: string): Promise<Publication[]> {
    return this.servers.withSession(server, database, (session) => readPublications(session));
  }

  /** Rejects with NOT_FOUND. */
  get(server: string, database: string, name: string): Promise<Publication> {
    return this.servers.withSession(server, database, (session) => requirePublication(session, name));
  }

  /** What the publication sends, table by table. Rejects with NOT_FOUND. */
  tables(server: string, database: string, name: string): Promise<EffectiveTable[]> {
    return this.servers.withSession(server, database, async (session) => {
      const { publish } = await requirePublication(session, name);
      const carriesOldRows = publish.includes('update') || publish.includes('delete');
      const tables = await readPublishedTables(session, name);
      return tables.map((table) => ({
        ...table,
        operations: publish,
        updatesFail: carriesOldRows && !table.replicaIdentityUsable,
      }));
    });
  }

  create(
    server: string,
    database: string,
    spec: PublicationSpec,
    { dryRun = false }: ChangeOptions = {},
  ): Promise<Change<Publication>> {
    return this.servers.withSession(server, database, async (session) => {
      const statements = createPublication(spec, session.versionNum);
      const planned = plan({ server, database }, statements);
      if (dryRun) {
        await requireFree(session, spec.name);
        return { statements: planned, result: null };
      }
      await carryOut(session, statements);
      return { statements: planned, result: await requirePublication(session, spec.name) };
    });
  }

  /** Changes what `patch` names and nothing else, in one transaction; never drops and creates anew. */
  patch(
    server: string,
    database: string,
    name: string,
    patch: PublicationPatch,
    { dryRun = false }: ChangeOptions = {},
  ): Promise<Change<Publication>> {
    const place: Place = { server, database };
    return this.servers.withSession(server, database, (session) =>
      session.transaction(async () => {
        // What is read must still hold when it is changed: two edits of one publication go one after the other.
        await session.rows(`select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))`, [
          `lockstep publication ${name}`,
        ]);
        const current = await requirePublication(session, name);
        const statements = alterPublication(current, patch, session.versionNum);
        const planned = plan(place, statements);
        if (dryRun) return { statements: planned, result: null };
        await carryOut(session, statements, { inTransaction: true });
        return { statements: planned, result: await requirePublication(session, patch.name ?? name) };
      }),
    );
  }

  /** Empties it first, so that no writer of its tables fails; see `emptyPublications`. */
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
      await emptyPublications(session, [name]);
      await carryOut(session, drop);
      return { statements: planned, result: { name } };
    });
  }
}

/** What the server says of itself when the publication is really created. */
async function requireFree(session: Session, name: string): Promise<void> {
  const [existing] = await readPublications(session, name);
  if (existing) throw new Problem('ALREADY_EXISTS', `there is a publication ${JSON.stringify(name)} already`);
}

async function requirePublication(session: Session, name: string): Promise<Publication> {
  const [publication] = await readPublications(session, name);
  if (!publication) throw new Problem('NOT_FOUND', `there is no publication ${JSON.stringify(name)} in this database`);
  return publication;
}
