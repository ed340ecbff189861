import { type LoginRights, readLoginRights, readOwner } from '../postgres/catalog/login-rights.js';
import type { RuleName } from '../postgres/ddl/options/combination-rules.js';
import type { Need, OwnedObject, Statement } from '../postgres/ddl/statement.js';
import { identifier } from '../postgres/quoting.js';
import type { Session } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { PG16 } from '../shared/server-version.js';

/** From 16 on, of a subscription whose owner is no superuser. */
export const PASSWORD_REQUIRED = '2F003';
const FOR_OTHERS: RuleName = 'password-for-others';

/** What grants it, and the rule that asks for it. */
interface Missing {
  hint: string;
  rule?: RuleName;
}

/**
 * The refusal of statements for want of a privilege, with the statement by which an administrator grants it; any other
 * error as it is. Asked only once the server has refused: managed services let logins do more than the rules say.
 */
export async function explainPrivilege(
  session: Session,
  error: unknown,
  statements: readonly Pick<Statement, 'needs'>[],
): Promise<unknown> {
  if (!(error instanceof Problem)) return error;
  if (error.options.sqlstate === PASSWORD_REQUIRED) return needsPassword(error);
  if (error.code !== 'SERVER_PRIVILEGE_MISSING') return error;
  // A courtesy: where it cannot be had, the server's own words are the answer.
  const found = await firstMissing(session, statements).catch(() => null);
  return found === null ? error : explained(error, found);
}

function needsPassword(error: Problem): Problem {
  const hint =
    "The login of the subscriber is no superuser: give a password in the connection string, and let the publisher's pg_hba.conf ask for it (scram-sha-256).";
  return explained(error, { hint, rule: FOR_OTHERS });
}

function explained(error: Problem, { hint, rule }: Missing): Problem {
  const extra = rule === undefined ? {} : { extra: { ...error.options.extra, rule } };
  return new Problem(error.code, error.detail, { ...error.options, hint, ...extra, cause: error });
}

async function firstMissing(
  session: Session,
  statements: readonly Pick<Statement, 'needs'>[],
): Promise<Missing | null> {
  const rights = await readLoginRights(session);
  for (const { needs } of statements) {
    const found = needs === undefined ? null : await missing(session, rights, needs);
    if (found !== null) return found;
  }
  return null;
}

async function missing(session: Session, rights: LoginRights, need: Need): Promise<Missing | null> {
  const login = identifier(rights.login);
  switch (need.kind) {
    case 'replication':
      return rights.replication ? null : { hint: `alter role ${login} replication;` };
    case 'create-subscription':
      return { hint: missingForSubscription(rights, session.versionNum), rule: FOR_OTHERS };
    case 'owner': {
      const grant = await missingForOwner(session, rights, need);
      if (grant !== null) return { hint: grant };
      return need.withoutPassword === true ? { hint: onlySuperusers(login), rule: FOR_OTHERS } : null;
    }
  }
}

function missingForSubscription(rights: LoginRights, versionNum: number): string {
  const login = identifier(rights.login);
  if (versionNum < PG16) {
    return `Up to 15 only superusers create subscriptions: alter role ${login} superuser; from 16 on membership in pg_create_subscription will do.`;
  }
  if (!rights.mayCreateSubscriptions) return `grant pg_create_subscription to ${login};`;
  if (!rights.mayCreate) return grantCreate(rights);
  return onlySuperusers(login);
}

function onlySuperusers(login: string): string {
  return `Only superusers let a subscription have passwordRequired false: leave it true, or alter role ${login} superuser;`;
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
