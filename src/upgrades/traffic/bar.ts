import {
  type AclItem,
  DATABASE_ACL,
  DATABASE_ACL_ITEMS,
  ROLE_NAMES,
  ROLE_STATE,
  type RoleStateRow,
} from '../../postgres/catalog/fence.sql.js';
import {
  type ConnectGrant,
  readOnlyEntry,
  replaceConnectGrants,
  resetReadOnly,
  setLogin,
  setReadOnly,
} from '../../postgres/ddl/fence.ddl.js';
import type { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import type { FencedRole, FenceRecord } from './fence-record.js';

/** `recorded` puts back what was found; `open` lets each role log in as it should on an opened target. */
export type RestoreTo = 'recorded' | 'open';

/** Raising and lowering take turns: two writers of one catalog row would fail each other. */
const SERIALIZE = `select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('lockstep fence', 0))`;

/** Takes login or CONNECT from the recorded roles, in one transaction, and only where it is still theirs. */
export async function applyBar(
  session: Session,
  record: FenceRecord,
  { timeoutMs = 30_000, refuseForeign = false } = {},
): Promise<void> {
  await session.transaction(async () => {
    await session.execute(`set local statement_timeout = ${Math.floor(timeoutMs)}`);
    await session.execute(SERIALIZE);
    if (refuseForeign) {
      const { states } = await look(session, record);
      const foreign = states.filter(barredByAnother).map(({ state }) => state.name);
      if (foreign.length > 0) throw barredElsewhere(foreign);
    }
    const statements = await barStatements(session, record);
    if (statements.length > 0) await session.execute(statements.join(';\n'));
  });
}

/** What is missing of the bar, as statements; only reads. */
export async function barStatements(session: Session, record: FenceRecord): Promise<string[]> {
  const { states, name } = await look(session, record);
  const statements: string[] = [];
  for (const { role, state } of states) {
    if (role.method === 'nologin' && state.canLogin) statements.push(setLogin(state.name, false));
    if (readOnlyEntry(state.settings) !== 'on') statements.push(setReadOnly(state.name, name, 'on'));
  }
  if (record.roles.some(({ method }) => method === 'revoke-connect')) {
    const wanted = record.keepConnect.map(({ oid }) => connect(record.database.owner, oid));
    statements.push(...(await connectStatements(session, record, wanted)));
  }
  return statements;
}

/** Puts login, CONNECT and the read-only setting back, in one transaction; a role dropped meanwhile is passed over. */
export async function restoreBar(session: Session, record: FenceRecord, to: RestoreTo): Promise<void> {
  await session.transaction(async () => {
    await session.execute(SERIALIZE);
    const statements = await restoreStatements(session, record, to);
    if (statements.length > 0) await session.execute(statements.join(';\n'));
  });
}

/** What of the bar is still to be put back, as statements; only reads. */
export async function restoreStatements(session: Session, record: FenceRecord, to: RestoreTo): Promise<string[]> {
  const { states, name } = await look(session, record);
  const statements: string[] = [];
  for (const { role, state } of states) {
    const canLogin = wantedLogin(role, state, to);
    if (state.canLogin !== canLogin) statements.push(setLogin(state.name, canLogin));
    const before = readOnlyEntry(role.settings);
    if (readOnlyEntry(state.settings) !== before) {
      statements.push(before === null ? resetReadOnly(state.name, name) : setReadOnly(state.name, name, before));
    }
  }
  if (record.roles.some(({ method }) => method === 'revoke-connect')) {
    const wanted = record.acl.filter(({ privilege }) => privilege === 'CONNECT');
    statements.push(...(await connectStatements(session, record, wanted)));
  }
  return statements;
}

/** Login is the fence's business only where it took it: a role barred by CONNECT may have been opened by others since. */
export function wantedLogin(role: FencedRole, state: RoleStateRow, to: RestoreTo): boolean {
  if (role.method !== 'nologin') return state.canLogin;
  return to === 'open' ? role.canLoginWhenOpen : role.canLogin;
}

/** Our bar takes login and sets read-only in one transaction: login taken without it was taken by somebody else. */
function barredByAnother({ role, state }: { role: FencedRole; state: RoleStateRow }): boolean {
  return role.method === 'nologin' && role.canLogin && !state.canLogin && readOnlyEntry(state.settings) !== 'on';
}

export function barredElsewhere(names: string[]): Problem {
  return new Problem(
    'PRECONDITION_FAILED',
    `writers exist on the target but may not log in there: ${names.join(', ')}`,
    { hint: 'Another upgrade to this server may hold them barred: finish it first. Else give them LOGIN, then retry.' },
  );
}

async function look(session: Session, record: FenceRecord) {
  const database = await session.row<{ oid: number; name: string }>(DATABASE_ACL);
  if (database.oid !== record.database.oid) {
    throw new Problem(
      'CONFLICT',
      `the record is of database ${record.database.name}, the session is in ${database.name}`,
    );
  }
  const rows = await session.rows<RoleStateRow>(ROLE_STATE, [record.roles.map(({ oid }) => oid)]);
  const states: { role: FencedRole; state: RoleStateRow }[] = [];
  for (const role of record.roles) {
    const state = rows.find(({ oid }) => oid === role.oid);
    if (state !== undefined) states.push({ role, state });
  }
  return { states, name: database.name };
}

function connect(grantor: number, grantee: number): AclItem {
  return { grantor, grantee, privilege: 'CONNECT', grantable: false };
}

/** Statements that turn the CONNECT grants into `wanted`; none when they are so already. */
async function connectStatements(session: Session, record: FenceRecord, wanted: AclItem[]): Promise<string[]> {
  const { owner, name } = await session.row<{ owner: number; name: string }>(DATABASE_ACL);
  const current = (await session.rows<AclItem>(DATABASE_ACL_ITEMS)).filter(({ privilege }) => privilege === 'CONNECT');
  const target = await present(session, record, owner, wanted);
  if (sameItems(current, target)) return [];
  const names = await roleNames(session, [...current, ...target]);
  const grants = (items: AclItem[]): ConnectGrant[] =>
    items.map(({ grantor, grantee, grantable }) => ({
      grantor: grantor === owner ? null : names.get(grantor)!,
      grantee: grantee === 0 ? null : names.get(grantee)!,
      grantable,
    }));
  return replaceConnectGrants(name, grants(current), grants(target));
}

/** Recorded grants as they stand today: ownership may have passed on, with its grants, and roles may be gone. */
export async function present(
  session: Session,
  record: FenceRecord,
  owner: number,
  items: AclItem[],
): Promise<AclItem[]> {
  const names = await roleNames(session, items);
  const today = (oid: number) => (oid === record.database.owner ? owner : oid);
  return items
    .map((item) => ({ ...item, grantor: today(item.grantor), grantee: today(item.grantee) }))
    .filter((item) => [item.grantor, item.grantee].every((oid) => oid === 0 || oid === owner || names.has(oid)));
}

async function roleNames(session: Session, items: AclItem[]): Promise<Map<number, string>> {
  const oids = items.flatMap(({ grantor, grantee }) => [grantor, grantee]);
  const rows = await session.rows<{ oid: number; name: string }>(ROLE_NAMES, [oids]);
  return new Map(rows.map(({ oid, name }) => [oid, name]));
}

/** Whether two ACLs grant the same, whatever their order. */
export function sameItems(left: AclItem[], right: AclItem[]): boolean {
  const text = (items: AclItem[]) =>
    items.map((i) => `${i.grantor}>${i.grantee}:${i.privilege}${i.grantable ? '*' : ''}`).sort();
  return text(left).join() === text(right).join();
}
