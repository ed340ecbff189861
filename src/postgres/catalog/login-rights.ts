import type { OwnedObject } from '../ddl/statement.js';
import type { Session } from '../session.js';
import { LOGIN_RIGHTS, OBJECT_OWNER } from './login-rights.sql.js';
import { variantFor } from './variant.js';

export interface LoginRights {
  login: string;
  database: string;
  superuser: boolean;
  replication: boolean;
  /** CREATE on the database. */
  mayCreate: boolean;
  /** Member of pg_create_subscription; false before 16, which does not have it. */
  mayCreateSubscriptions: boolean;
}

export interface ObjectOwner {
  owner: string;
  superuser: boolean;
  /** The login has the rights of the owner. */
  owned: boolean;
}

export async function readLoginRights(session: Session): Promise<LoginRights> {
  const { may_create, may_create_subscriptions, ...row } = await session.row<{
    login: string;
    database: string;
    superuser: boolean;
    replication: boolean;
    may_create: boolean;
    may_create_subscriptions: boolean;
  }>(variantFor(LOGIN_RIGHTS, session.versionNum));
  return { ...row, mayCreate: may_create, mayCreateSubscriptions: may_create_subscriptions };
}

/** Null: there is no such object. */
export async function readOwner(session: Session, object: OwnedObject): Promise<ObjectOwner | null> {
  const schema = object.type === 'table' ? object.schema : null;
  const rows = await session.rows<ObjectOwner & Record<string, unknown>>(variantFor(OBJECT_OWNER, session.versionNum), [
    object.type,
    schema,
    object.name,
  ]);
  return rows[0] ?? null;
}
