import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { failpoint } from '../../engine/failpoints.js';
import type { TableHold } from '../../postgres/replication/table-hold.js';
import { Problem } from '../../problems/problem.js';
import { readLinkTables, readSubscription } from '../at-rest/read-shapes.js';
import { keyText } from '../at-rest/row-changes.js';
import { tableId, type TableName, type TableShape } from '../at-rest/table-shape.js';
import type { LinkReaders } from '../link/link-readers.js';
import { type DifferingRow, judgeKeys, keyInBothForms } from './judge-keys.js';
import type { RepairFacts } from './repair-facts.js';
import { KEYLESS, type RepairedItem, type RepairItem } from './repair-item.js';
import { unrepairable } from './repair-statement.js';
import { type Written, writeRows } from './write-rows.js';

export interface RepairLinkRequest {
  readers: LinkReaders;
  facts: RepairFacts;
  /** Application name of the writing sessions, by which a later life ends what an earlier one left. */
  purpose: string;
  /** Replication origin of the writing transactions, which is there; null: they go without one. */
  origin: string | null;
  /** Differences of the table that have no outcome yet. */
  itemsOf: (table: TableName) => Promise<RepairItem[]>;
  /** Told before a transaction commits what it makes right. */
  onIntended: (positions: number[]) => Promise<void>;
  onDone: (items: RepairedItem[]) => Promise<void>;
  signal: AbortSignal;
}

/** Rows of one transaction: the table is held for as long as they take, which is some tenths of a second. */
const ROWS_AT_ONCE = 100;
/** Holds for a row that keeps being changed; then the worker is ended once, so that its successor's position tells. */
const MOST_TRIES = 8;
const HOLD_DEADLINE_MS = 60_000;
/** Shorter than deadlock_timeout (1 s by default): whoever is in a circle with us, it is us who give way. */
const LOCK_TIMEOUT_MS = 700;
/** Longer only where a server falls silent: then nobody writes the table, and nothing is applied. */
const MOST_HELD_MS = 15_000;
const STATEMENT_TIMEOUT_MS = 10_000;
const PAUSE_MS = 100;
/** The table or its schema is gone. */
const GONE = new Set(['42P01', '3F000']);
const LOCK_NOT_AVAILABLE = '55P03';
/** Binding did not come about. */
const OF_TABLE = new Set(['SERVER_TIMEOUT', 'LIMIT_REACHED', 'PREREQUISITE_FAILED']);
/** A statement was refused, such as one with a row filter that fails; a lost session has another code. */
const OF_TABLE_BY_SERVER = new Set(['SERVER_FAILED', 'SERVER_PRIVILEGE_MISSING']);

/**
 * Makes rows of the subscriber what the publisher's are, for good, while both sides are written to.
 *
 * A batch of rows of one table is judged and written while the table is held (`holdTable`): in SHARE ROW EXCLUSIVE mode
 * in the very transaction that writes. Whatever writes the table holds ROW EXCLUSIVE until it commits, also an apply
 * worker whose change met no row, so once we hold the table:
 *
 * 1. Every transaction that touches it is applied wholly or not begun. `appliedLsn` R, read after the lock, and the
 *    stream up to a position written after the lock name all of them: those that end at or below R are applied, the
 *    others (`inDoubt`) are either still to come or have passed without any effect.
 * 2. A key that one in doubt touches is not judged; its row is left for another hold. What is judged is hence a key that
 *    nothing touched after R: what the publisher had at R (its snapshot rolled forward through what is applied) is what
 *    it has, as far as the subscriber can know, and the next change of the row that applying meets is one after R.
 * 3. We write, and commit, before anybody else writes the table. From then on the row is the publisher's at R, and each
 *    later change meets the row it was made for:
 *    - missing, inserted: the publisher has it at R, so what comes next for the key is an UPDATE, a DELETE or a move to
 *      another key, each of which finds it; an INSERT comes only after a DELETE or a move that takes it away. An INSERT
 *      that is still to come is after R, so it is not in what the publisher had at R, and nothing is inserted for it.
 *    - extra, deleted: the publisher has no such row at R, so what comes next is an INSERT (or a move to the key), and it
 *      finds the key free; before, it would have stopped applying.
 *    - different, updated: what comes next is an UPDATE, a DELETE or a move. An UPDATE brings every column but those it
 *      left unchanged out of line, and these are the publisher's since we wrote them.
 *    A change before R is applied and will not come again: restarted apply workers begin at R or later.
 *    So applying never fails for our sake: each row we wrote is one the publisher had, and those never stand in each
 *    other's way. A row that still differs may do so as before.
 * 4. Without the hold no guard would do. Between a snapshot and our INSERT, an UPDATE or DELETE of the missing row may
 *    pass without effect, and the row would come back old, or for good. And a row that applying gave the wrong values
 *    again, because they are right by now, would look as it did; the guard knows it by its place and xmin.
 *
 * A transaction that applying streams in parallel holds the lock as any other; one that is spooled has not begun.
 */
export async function repairLink(request: RepairLinkRequest): Promise<void> {
  const { tables } = request.facts;
  // Children first, so that no row is taken from under them; then parents first.
  for (const table of [...tables].reverse()) await new TableRepair(request, table, 'extra').run();
  for (const table of tables) await new TableRepair(request, table, 'all').run();
}

/** Why rows of a table are not tried (any more). */
type Obstacle = Pick<RepairedItem, 'outcome'> & { reason: string };

interface Candidate {
  item: RepairItem;
  tries: number;
}

class TableRepair {
  constructor(
    private readonly request: RepairLinkRequest,
    private readonly table: TableName,
    /** `extra`: only rows that are too much; what turns out to be otherwise is left for later. */
    private readonly pass: 'extra' | 'all',
  ) {}

  async run(): Promise<void> {
    const items = await this.request.itemsOf(this.table);
    const wanted = this.pass === 'all' ? items : items.filter(({ kind }) => kind === 'extra');
    const refusal = this.request.facts.refused.get(tableId(this.table));
    if (refusal !== undefined) return this.tell(wanted, 'not-repairable', refusal);
    const keyless = wanted.filter(({ key }) => key === null);
    await this.tell(keyless, 'not-repairable', KEYLESS);

    let queue: Candidate[] = wanted.filter(({ key }) => key !== null).map((item) => ({ item, tries: 0 }));
    while (queue.length > 0) {
      this.request.signal.throwIfAborted();
      const batch = queue.slice(0, ROWS_AT_ONCE);
      const settle = batch.every(({ tries }) => tries >= MOST_TRIES);
      const again = await this.batch(batch, settle);
      if ('reason' in again) {
        const left = queue.map(({ item }) => item);
        return this.tell(left, again.outcome, again.reason);
      }
      const last = again.filter(({ tries }) => tries > MOST_TRIES);
      await this.tell(
        last.map(({ item }) => item),
        'changed',
        'the row was changed each time it was looked at',
      );
      const open = again.filter(({ tries }) => tries <= MOST_TRIES);
      // Rows that have been tried most come last, so that these are settled together.
      queue = [...queue.slice(batch.length), ...open].sort((a, b) => a.tries - b.tries);
      if (open.length > 0) await delay(PAUSE_MS, undefined, { signal: this.request.signal }).catch(() => {});
    }
  }

  /** Holds the table once. Answers what must be tried again, or why no more of the table is tried. */
  private async batch(batch: Candidate[], settle: boolean): Promise<Candidate[] | Obstacle> {
    const { readers, purpose, signal } = this.request;
    try {
      const hold = await readers.hold(this.table, {
        ...{ purpose, deadlineMs: HOLD_DEADLINE_MS, lockTimeoutMs: LOCK_TIMEOUT_MS, signal },
        mostHeldMs: MOST_HELD_MS,
        doubts: settle ? 'settle' : 'leave',
      });
      try {
        await failpoint('repair.held');
        return await this.repairHeld(hold, batch);
      } finally {
        await hold.release();
      }
    } catch (error) {
      signal.throwIfAborted();
      const obstacle = obstacleOf(error, settle);
      if (obstacle === null || readers.failed) throw error;
      return obstacle;
    }
  }

  private async repairHeld(hold: TableHold, batch: Candidate[]): Promise<Candidate[]> {
    const { facts, origin, readers, signal } = this.request;
    await prepare(hold, facts.quiet, origin);
    const subscription = await readSubscription(hold.subscriber, readers.subscription.name);
    if (!isDeepStrictEqual(subscription.publications, readers.subscription.publications)) {
      throw new Problem('CONFLICT', 'the publications of the subscription changed', { retryable: true });
    }
    const { comparable, notComparable } = await readLinkTables(hold.publisher, hold.subscriber, subscription, [
      this.table,
    ]);
    const [shape] = comparable;
    const items = batch.map(({ item }) => item);
    if (!shape || shape.key === null) {
      await this.tell(items, 'not-repairable', notComparable[0]?.reason ?? KEYLESS);
      return [];
    }
    const done: RepairedItem[] = [];
    const asked = new Map<Candidate, { publisher: string[]; subscriber: string[] }>();
    for (const candidate of batch) {
      const key = keyInBothForms(shape, candidate.item.key!);
      if (!('reason' in key)) asked.set(candidate, key);
      else done.push({ position: candidate.item.position, outcome: 'not-repairable', reason: key.reason });
    }
    const judged = await judgeKeys(hold, shape, hold, [...asked.values()]);
    signal.throwIfAborted();

    const again: Candidate[] = [];
    const toWrite = new Map<Candidate, DifferingRow[]>();
    for (const [candidate, key] of asked) {
      const { item, tries } = candidate;
      const text = keyText(key.subscriber);
      const rows = judged.differing.get(text) ?? [];
      const reason = notWritable(this.request.facts, shape, rows);
      if (judged.doubtful.has(text)) again.push({ item, tries: tries + 1 });
      else if (rows.length === 0) done.push({ position: item.position, ...agreeing(item) });
      else if (reason !== null) done.push({ position: item.position, outcome: 'not-repairable', reason });
      // In the pass of what is too much, a row that is no more so waits for the next one.
      else if (this.pass === 'all' || rows.every(({ kind }) => kind === 'extra')) toWrite.set(candidate, rows);
    }
    again.push(...(await this.write(hold, shape, toWrite, done)));
    await this.request.onDone(done);
    return again;
  }

  /** Writes and commits. What was written is put to `done`; answers what must be tried again. */
  private async write(
    hold: TableHold,
    shape: TableShape,
    toWrite: ReadonlyMap<Candidate, DifferingRow[]>,
    done: RepairedItem[],
  ): Promise<Candidate[]> {
    if (toWrite.size === 0) return [];
    // Two differences of one key (a row that is there twice) share their rows.
    const outcomes = await writeRows(
      hold.subscriber,
      shape,
      [...new Set([...toWrite.values()].flat())],
      !this.request.facts.quiet,
    );
    const again: Candidate[] = [];
    const right: RepairedItem[] = [];
    for (const [{ item, tries }, rows] of toWrite) {
      const refused = rows.map((row) => outcomes.get(row)!).find((outcome) => !outcome.written);
      if (refused === undefined) right.push({ position: item.position, outcome: 'repaired', reason: null });
      else if (tries < MOST_TRIES && !isLasting(refused)) again.push({ item, tries: tries + 1 });
      else done.push({ position: item.position, ...failed(refused) });
    }
    await this.request.onIntended(right.map(({ position }) => position));
    await failpoint('repair.written');
    await hold.subscriber.execute('commit');
    await failpoint('repair.committed');
    done.push(...right);
    return again;
  }

  private async tell(items: readonly RepairItem[], outcome: RepairedItem['outcome'], reason: string): Promise<void> {
    if (items.length === 0) return;
    await this.request.onDone(items.map(({ position }) => ({ position, outcome, reason })));
  }
}

/** What the statements would do beyond the rows, or cannot do; null where they can be run. */
export function notWritable(facts: RepairFacts, shape: TableShape, rows: readonly DifferingRow[]): string | null {
  const cascades = facts.tables.find((table) => tableId(table) === tableId(shape))?.cascades ?? [];
  const changes = rows.some(({ kind }) => kind !== 'missing');
  if (changes && facts.fires && cascades.length > 0) {
    return `what is done to the row would go on to rows of other tables by ${cascades.join(', ')}`;
  }
  return rows.map((row) => unrepairable(shape, row)).find((reason) => reason !== null) ?? null;
}

async function prepare({ subscriber }: TableHold, quiet: boolean, origin: string | null): Promise<void> {
  await subscriber.execute(
    `set local statement_timeout = ${STATEMENT_TIMEOUT_MS}; set local lock_timeout = ${LOCK_TIMEOUT_MS}; set local jit = off`,
  );
  // As for an apply worker: only triggers that are enabled for replicas fire, and no foreign key is followed.
  if (quiet) await subscriber.execute('set local session_replication_role = replica');
  else await subscriber.execute('set constraints all deferred');
  if (origin !== null) {
    await subscriber.rows('select pg_catalog.pg_replication_origin_session_setup($1)', [origin]);
  }
}

function agreeing({ intended }: RepairItem): Pick<RepairedItem, 'outcome' | 'reason'> {
  return intended ? { outcome: 'repaired', reason: null } : { outcome: 'gone', reason: null };
}

function isLasting(outcome: Written): boolean {
  return !outcome.written && outcome.lasting;
}

function failed(outcome: Written): Pick<RepairedItem, 'outcome' | 'reason'> {
  if (outcome.written) return { outcome: 'repaired', reason: null };
  return { outcome: outcome.lasting ? 'not-repairable' : 'not-repaired', reason: outcome.reason };
}

/** What says something of the one table, and nothing of the others; null: the repair as a whole cannot go on. */
function obstacleOf(error: unknown, settle: boolean): Obstacle | null {
  if (!(error instanceof Problem)) return null;
  const { sqlstate = '' } = error.options;
  if (GONE.has(sqlstate)) return { outcome: 'not-repairable', reason: 'the table is gone' };
  if (sqlstate === LOCK_NOT_AVAILABLE) {
    return { outcome: 'not-repaired', reason: 'the table could not be locked in time: another session holds it' };
  }
  if (settle && error.code === 'SERVER_PRIVILEGE_MISSING') {
    const reason = `the row was changed each time it was looked at, and ${error.detail}`;
    return { outcome: 'not-repaired', reason };
  }
  const ofTable = OF_TABLE.has(error.code) || (sqlstate !== '' && OF_TABLE_BY_SERVER.has(error.code));
  return ofTable ? { outcome: 'not-repaired', reason: error.detail } : null;
}
