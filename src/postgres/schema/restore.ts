import { Problem } from '../../problems/problem.js';
import type { Session } from '../session.js';
import type { DumpEntry, DumpItem } from './dump-statements.js';
import * as journal from './restore-journal.sql.js';
import { RestoringLogin } from './restore-as.js';
import { keepsSetting } from './restore-plan.js';
import { cutText } from '../../shared/cut-text.js';

export interface RestoreProgress {
  /** Entries done, those of an earlier attempt included. */
  done: number;
  total: number;
  /** The entry that was finished last, e.g. `TABLE public.orders`. */
  entry: string;
}

export interface RestoreOptions {
  /** Names this part in the journal, e.g. `pre-data`: the same name again continues it. */
  section: string;
  onProgress?: (progress: RestoreProgress) => void;
  /** Looked at between transactions. */
  signal?: AbortSignal;
  /** How long one statement waits for a lock, e.g. against an apply worker; default one minute. */
  lockTimeoutMs?: number;
  /** Entries per transaction. Cheap definitions go together; anything that reads rows goes alone. Default 50 and 1. */
  entriesPerTransaction?: number;
}

export interface RestoreResult {
  total: number;
  /** Run now. */
  restored: number;
  /** Found done by an earlier attempt. */
  alreadyDone: number;
}

const DEFINITIONS_PER_TRANSACTION = 50;
const DEFAULT_LOCK_TIMEOUT_MS = 60_000;
/** Types of which a statement takes as long as its table is large, or holds locks that apply workers wait for. */
const ALONE = new Set(['INDEX', 'CONSTRAINT', 'FK CONSTRAINT', 'CHECK CONSTRAINT', 'TRIGGER', 'INDEX ATTACH']);
/** Their text may carry a password of a foreign server. */
const SECRET_TYPES = new Set(['SERVER', 'USER MAPPING', 'FOREIGN DATA WRAPPER', 'FOREIGN TABLE', 'SUBSCRIPTION']);

/**
 * Runs a dump's entries on the target. Each transaction also writes the journal, so that a second call with the same
 * section continues exactly after the last committed entry, whatever cut the first one short. Rejects with a Problem
 * that names the object, the statement and the SQLSTATE; CONFLICT when the journal tells of entries that this dump no
 * longer has, and OBJECT_IN_USE while another session restores into this database.
 */
export async function restoreEntries(
  session: Session,
  items: DumpItem[],
  options: RestoreOptions,
): Promise<RestoreResult> {
  return withRestoreLock(session, async () => {
    await openJournal(session);
    const changed = new Set(['statement_timeout', 'lock_timeout']);
    try {
      return await restoreLocked(session, items, options, changed);
    } finally {
      const resets = [...changed].map((name) => `reset ${name}`).join('; ');
      if (session.alive) await session.execute(resets).catch(() => {});
    }
  });
}

/** Creates the journal and notes what the target held before; does nothing where that was done before. */
async function openJournal(session: Session): Promise<void> {
  await session.transaction(async () => {
    const { present } = await session.row<{ present: boolean }>(journal.journalExists);
    if (present) return;
    await session.execute(journal.createJournal);
    await session.execute(journal.recordBaseline);
  });
}

/** Keeps every other session of ours from restoring into, or dropping from, this database meanwhile. */
export async function withRestoreLock<T>(session: Session, work: () => Promise<T>): Promise<T> {
  const { held } = await session.row<{ held: boolean }>(journal.lockRestore);
  if (!held) {
    throw new Problem('OBJECT_IN_USE', `${session.where}: another session restores a schema into this database`);
  }
  try {
    return await work();
  } finally {
    if (session.alive) await session.execute(journal.unlockRestore).catch(() => {});
  }
}

async function restoreLocked(
  session: Session,
  items: DumpItem[],
  options: RestoreOptions,
  changed: Set<string>,
): Promise<RestoreResult> {
  const entries = items.filter((item) => item.kind === 'entry');
  const done = await doneDigests(session, options.section, entries);
  const known = new Set((await session.rows<{ name: string }>(journal.knownSettings)).map(({ name }) => name));
  for (const item of items) {
    if (item.kind === 'setting' && keepsSetting(item.name, known)) changed.add(item.name);
  }
  const lockTimeout = options.lockTimeoutMs ?? DEFAULT_LOCK_TIMEOUT_MS;
  await session.execute(`set statement_timeout = 0; set lock_timeout = ${Math.trunc(lockTimeout)}`);
  const login = await RestoringLogin.of(session);
  const result: RestoreResult = { total: entries.length, restored: 0, alreadyDone: done.size };
  for (const batch of batches(items, done, known, options.entriesPerTransaction ?? DEFINITIONS_PER_TRANSACTION)) {
    options.signal?.throwIfAborted();
    await restoreBatch(session, login, batch, options.section);
    result.restored += batch.entries.length;
    const last = batch.entries.at(-1);
    if (last) {
      const progress = { done: result.restored + result.alreadyDone, total: result.total, entry: describeEntry(last) };
      options.onProgress?.(progress);
    }
  }
  return result;
}

async function doneDigests(session: Session, section: string, entries: DumpEntry[]): Promise<Set<string>> {
  const rows = await session.rows<{ digest: string; description: string }>(journal.doneEntries, [section]);
  const present = new Set(entries.map(({ digest }) => digest));
  const gone = rows.filter(({ digest }) => !present.has(digest));
  if (gone.length > 0) {
    throw new Problem(
      'CONFLICT',
      `${session.where}: ${gone.length} objects restored earlier differ in this dump, the first is ${gone[0]!.description}: the source's schema changed in between`,
      {
        hint: 'Abort this attempt, which drops what it restored, and begin again.',
        extra: { changed: gone.map(({ description }) => description).slice(0, 50) },
      },
    );
  }
  return new Set(rows.map(({ digest }) => digest));
}

interface Batch {
  /** Settings, as SQL, and the entries that rely on them. */
  steps: (string | DumpEntry)[];
  entries: DumpEntry[];
}

/** Entries still to do, with the settings each relies on, cut into transactions. */
function* batches(
  items: DumpItem[],
  done: ReadonlySet<string>,
  known: ReadonlySet<string>,
  size: number,
): Generator<Batch> {
  let batch: Batch = { steps: [], entries: [] };
  // Only the last value of each setting matters to the next entry that runs.
  const settings = new Map<string, string>();
  for (const item of items) {
    if (item.kind === 'setting') {
      if (keepsSetting(item.name, known)) settings.set(item.name, item.statement);
      continue;
    }
    if (done.has(item.digest)) continue;
    if (batch.entries.length > 0 && (ALONE.has(item.type) || batch.entries.length >= size)) {
      yield batch;
      batch = { steps: [], entries: [] };
    }
    batch.steps.push(...settings.values(), item);
    settings.clear();
    batch.entries.push(item);
    if (ALONE.has(item.type)) {
      yield batch;
      batch = { steps: [], entries: [] };
    }
  }
  if (batch.entries.length > 0) yield batch;
}

async function restoreBatch(session: Session, login: RestoringLogin, batch: Batch, section: string): Promise<void> {
  await session.transaction(async () => {
    for (const step of batch.steps) {
      if (typeof step === 'string') await session.execute(step);
      else await restoreEntry(session, login, step);
    }
    if (!batch.entries.every(({ type }) => ALONE.has(type))) await session.execute(journal.recordCreated);
    const digests = batch.entries.map(({ digest }) => digest);
    await session.rows(journal.recordDone, [section, digests, batch.entries.map(describeEntry)]);
  });
}

async function restoreEntry(session: Session, login: RestoringLogin, entry: DumpEntry): Promise<void> {
  for (const sql of await login.statements(entry)) {
    try {
      await session.execute(sql);
    } catch (error) {
      throw restoreFailure(error, entry, sql);
    }
  }
}

function restoreFailure(error: unknown, entry: DumpEntry, sql: string): unknown {
  if (!(error instanceof Problem)) return error;
  const object = describeEntry(entry);
  return new Problem(error.code, `restoring ${object}: ${error.detail}`, {
    ...error.options,
    extra: {
      ...error.options.extra,
      object: { type: entry.type, schema: entry.schema, name: entry.name, owner: entry.owner },
      ...(SECRET_TYPES.has(entry.type) ? {} : { statement: cutText(sql, 4000) }),
    },
    cause: error,
  });
}

/** An entry in words, e.g. `FK CONSTRAINT sales.orders orders_customer_fkey`. */
export function describeEntry(entry: DumpEntry): string {
  return [entry.type, entry.schema === null ? entry.name : `${entry.schema}.${entry.name}`].join(' ').trim();
}
