import type { Session } from '../session.js';
import { NAMED_RELATIONS, PUBLISHING_RIGHTS, NAMED_SCHEMAS } from './publication-objects.sql.js';

/** What the login, and the role a publication is to be given to, may do about publications. */
export interface PublishingRights {
  login: string;
  database: string;
  superuser: boolean;
  /** CREATE on the database. */
  mayCreate: boolean;
  walLevel: string;
  owner: { exists: boolean; superuser: boolean; mayCreate: boolean; loginIsMember: boolean };
}

/** What is there under the name of a table that is to be published. */
export interface NamedRelation {
  schema: string;
  name: string;
  /** pg_class.relkind; null: there is no such relation. */
  kind: string | null;
  persistence: string | null;
  schemaExists: boolean;
  system: boolean;
  owner: string | null;
  ownerSuperuser: boolean;
  owned: boolean;
  /** By name: '' for an ordinary column, 's' for a stored and 'v' for a virtual generated one. */
  columns: Record<string, string>;
}

export interface NamedSchema {
  schema: string;
  found: boolean;
  system: boolean;
}

export async function readPublishingRights(session: Session, owner: string | null = null): Promise<PublishingRights> {
  const row = await session.row<{
    login: string;
    database: string;
    superuser: boolean;
    may_create: boolean;
    wal_level: string;
    owner_exists: boolean;
    owner_superuser: boolean;
    owner_may_create: boolean;
    login_is_member: boolean;
  }>(PUBLISHING_RIGHTS, [owner]);
  return {
    login: row.login,
    database: row.database,
    superuser: row.superuser,
    mayCreate: row.may_create,
    walLevel: row.wal_level,
    owner: {
      exists: row.owner_exists,
      superuser: row.owner_superuser,
      mayCreate: row.owner_may_create,
      loginIsMember: row.login_is_member,
    },
  };
}

/** In the order of the names. */
export async function readNamedRelations(
  session: Session,
  tables: readonly { schema: string; name: string }[],
): Promise<NamedRelation[]> {
  const rows = await session.rows<{
    schema: string;
    name: string;
    kind: string | null;
    persistence: string | null;
    schema_exists: boolean;
    system: boolean;
    owner: string | null;
    owner_superuser: boolean;
    owned: boolean;
    columns: Record<string, string>;
  }>(NAMED_RELATIONS, [tables.map(({ schema }) => schema), tables.map(({ name }) => name)]);
  const found = new Map(
    rows.map(({ schema_exists: schemaExists, owner_superuser: ownerSuperuser, ...row }) => [
      JSON.stringify([row.schema, row.name]),
      { ...row, schemaExists, ownerSuperuser },
    ]),
  );
  return tables.map(({ schema, name }) => found.get(JSON.stringify([schema, name]))!);
}

export async function readNamedSchemas(session: Session, schemas: readonly string[]): Promise<NamedSchema[]> {
  const rows = await session.rows<NamedSchema & Record<string, unknown>>(NAMED_SCHEMAS, [schemas]);
  const found = new Map(rows.map((row) => [row.schema, row]));
  return schemas.map((schema) => found.get(schema)!);
}
