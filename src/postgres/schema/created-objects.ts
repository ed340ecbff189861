import { Problem } from '../../problems/problem.js';
import { identifier } from '../quoting.js';
import type { Session } from '../session.js';
import * as sql from './created-objects.sql.js';
import { withRestoreLock } from './restore.js';
import { dropJournal, dropRoleJournal, journalExists } from './restore-journal.sql.js';

/** An object on the target that the restore created, as the journal has it. */
interface CreatedObject {
  classOid: string;
  objectOid: string;
  /** `table`, `function`, `default acl` ...: pg_identify_object's word. */
  type: string;
  /** Fully qualified and quoted, as the server spells it now. */
  identity: string;
}

export interface DropReport {
  dropped: number;
  /** What was left, each with the reason: somebody else's objects rest on it. */
  left: { object: string; because: string[] }[];
}

/** What the restore created and is still there, newest first. Empty when there is no journal. */
async function createdObjects(session: Session): Promise<CreatedObject[]> {
  const { present } = await session.row<{ present: boolean }>(journalExists);
  if (!present) return [];
  return session.rows<CreatedObject & Record<string, unknown>>(sql.listCreated);
}

/**
 * Drops on the target what the restore created and nothing else, and restores what it changed on the system's own objects.
 * Objects go newest first, each on its own, so that nothing of somebody else's can go along; those that hold each other
 * go by CASCADE, but only where all that would go is the restore's. What somebody else's objects rest on stays, named.
 * May be called again at any time; the journal goes with the last object.
 */
export async function dropCreated(session: Session): Promise<DropReport> {
  return withRestoreLock(session, () => dropLocked(session));
}

async function dropLocked(session: Session): Promise<DropReport> {
  const { present } = await session.row<{ present: boolean }>(journalExists);
  if (!present) return { dropped: 0, left: [] };
  const atFirst = (await createdObjects(session)).length;
  for (let before = atFirst; before > 0;) {
    for (const object of await createdObjects(session)) await dropAlone(session, object);
    const after = (await createdObjects(session)).length;
    if (after === before) break;
    before = after;
  }
  const left = await dropKnots(session);
  await restoreSystemObjects(session);
  const dropped = atFirst - (await createdObjects(session)).length;
  if (left.length === 0) {
    await session.execute(dropJournal);
    await dropEmptySchema(session);
  }
  return { dropped, left };
}

/**
 * The end of a finalized upgrade: what was restored is the user's now. Removes the journals of objects and roles and,
 * where nothing else is in it, Lockstep's schema. Does nothing after `dropCreated`, which took its journal away itself:
 * the journal of the roles is then still needed by `dropCreatedRoles`.
 */
export async function removeJournal(session: Session): Promise<void> {
  const { present } = await session.row<{ present: boolean }>(journalExists);
  if (!present) return;
  await session.transaction(async () => {
    await session.execute(dropJournal);
    await session.execute(dropRoleJournal);
  });
  await dropEmptySchema(session);
}

/** Drops Lockstep's schema on the target if nothing is in it. */
export async function dropEmptySchema(session: Session): Promise<void> {
  await ignoring([DEPENDENTS_STILL_EXIST, '3F000'], () => session.execute('drop schema lockstep'));
}

const DEPENDENTS_STILL_EXIST = '2BP01';
/** It went with another object in the meantime. */
const GONE = ['42P01', '42704', '42883', '3F000', '42P17'];

async function dropAlone(session: Session, object: CreatedObject): Promise<void> {
  await ignoring([DEPENDENTS_STILL_EXIST, ...GONE], () => runDrop(session, object, ''));
}

/** Objects that depend on each other in a circle, and those that somebody else's objects depend on. */
async function dropKnots(session: Session): Promise<DropReport['left']> {
  const left: DropReport['left'] = [];
  for (const object of await createdObjects(session)) {
    const foreign = await session.rows<{ description: string }>(sql.foreignDependents, [
      object.classOid,
      object.objectOid,
    ]);
    if (foreign.length > 0) {
      const because = foreign.map(({ description }) => description);
      left.push({ object: `${object.type} ${object.identity}`, because });
      continue;
    }
    await ignoring(GONE, () => runDrop(session, object, ' cascade'));
  }
  return left;
}

async function runDrop(session: Session, object: CreatedObject, behaviour: '' | ' cascade'): Promise<void> {
  if (object.type === 'default acl') {
    await revertDefaultAcl(session, object);
    return;
  }
  await session.execute(`drop ${dropTarget(object)}${behaviour}`);
}

/** pg_identify_object's type and identity in the words of DROP. */
function dropTarget({ type, identity }: CreatedObject): string {
  switch (type) {
    case 'statistics object':
      return `statistics ${identity}`;
    case 'foreign-data wrapper':
      return `foreign data wrapper ${identity}`;
    case 'transform':
      return `transform ${identity.replace(' on language ', ' language ')}`;
    default:
      return `${type} ${identity}`;
  }
}

/** Default privileges have no DROP: set back to the built-in ones, the server removes the entry. */
async function revertDefaultAcl(session: Session, object: CreatedObject): Promise<void> {
  const rows = await session.rows<{ statement: string }>(sql.defaultAclReverts, [object.objectOid]);
  await session.transaction(async () => {
    for (const { statement } of rows) await session.execute(statement);
  });
}

/** Owner, privileges and comment of the schema public and privileges on the system's functions and views. */
async function restoreSystemObjects(session: Session): Promise<void> {
  const owners = await session.rows<{ schema: string; owner: string }>(sql.changedOwners);
  for (const { schema, owner } of owners) {
    await session.execute(`alter schema ${identifier(schema)} owner to ${identifier(owner)}`);
  }
  for (const query of [sql.changedPrivileges, sql.changedComments]) {
    for (const { statement } of await session.rows<{ statement: string }>(query)) await session.execute(statement);
  }
}

async function ignoring(states: string[], work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const state = error instanceof Problem ? error.options.sqlstate : undefined;
    if (state === undefined || !states.includes(state)) throw error;
  }
}
