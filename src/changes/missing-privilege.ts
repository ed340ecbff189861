import { type LoginRights, readLoginRights, readOwner } from '../postgres/catalog/login-rights.js';
import type { Need, OwnedObject, Statement } from '../postgres/ddl/statement.js';
import { identifier } from '../postgres/quoting.js';
import type { Session } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { PG16 } from '../shared/server-version.js';

/**
 * The refusal of statements for want of a privilege, with the statement by which an administrator grants it; any other
 * error as it is. Asked only once the server has refused: managed services let logins do more than the rules say.
 */
export async function explainPrivilege(
  session: Session,
  error: unknown,
  statements: readonly Pick<Statement, 'needs'>[],
): Promise<unknown> {
  if (!(error instanceof Problem) || error.code !== 'SERVER_PRIVILEGE_MISSING') return error;
  // A courtesy: where it cannot be had, the server's own words are the answer.
  const hint = await firstMissing(session, statements).catch(() => null);
  if (hint === null) return error;
  return new Problem(error.code, error.detail, { ...error.options, hint, cause: error });
}

async function firstMissing(session: Session, statements: readonly Pick<Statement, 'needs'>[]): Promise<string | null> {
  const rights = await readLoginRights(session);
  for (const { needs } of statements) {
    const grant = needs === undefined ? null : await missing(session, rights, needs);
    if (grant !== null) return grant;
  }
  return null;
}

async function missing(session: Session, rights: LoginRights, need: Need): Promise<string | null> {
  const login = identifier(rights.login);
  switch (need.kind) {
    case 'replication':
      return rights.replication ? null : `alter role ${login} replication;`;
    case 'create-subscription':
      return missingForSubscription(rights, session.versionNum);
    case 'owner':
      return missingForOwner(session, rights, need);
  }
}

function missingForSubscription(rights: LoginRights, versionNum: number): string {
  const login = identifier(rights.login);
  if (versionNum < PG16) {
    return `Up to 15 only superusers create subscriptions: alter role ${login} superuser; from 16 on membership in pg_create_subscription will do.`;
  }
  if (!rights.mayCreateSubscriptions) return `grant pg_create_subscription to ${login};`;
  if (!rights.mayCreate) return grantCreate(rights);
  return `Only superusers create one with passwordRequired false: leave it true, or alter role ${login} superuser;`;
}

async function missingForOwner(session: Session, rights: LoginRights, object: OwnedObject): Promise<string | null> {
  const owner = await readOwner(session, object);
  if (owner === null) return null;
  const login = identifier(rights.login);
  if (owner.owned) return rights.mayCreate ? null : grantCreate(rights);
  if (!owner.superuser) return `grant ${identifier(owner.owner)} to ${login};`;
  // Up to 15 only superusers own subscriptions.
  if (object.type === 'subscription' && session.versionNum < PG16) return `alter role ${login} superuser;`;
  return giveTo(object, rights.login);
}

/** Of a superuser's object: a member of a superuser would be one. */
export function giveTo(object: OwnedObject, login: string): string {
  const name = object.type === 'table' ? identifier(object.schema, object.name) : identifier(object.name);
  return `alter ${object.type} ${name} owner to ${identifier(login)};`;
}

export function grantCreate({ database, login }: Pick<LoginRights, 'database' | 'login'>): string {
  return `grant create on database ${identifier(database)} to ${identifier(login)};`;
}
