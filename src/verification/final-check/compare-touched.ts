import type { Lsn } from '../../shared/lsn.js';
import { attemptBind, type BindAttempt } from '../at-rest/bind-attempt.js';
import { compareTables, type TableTask } from '../at-rest/compare-tables.js';
import { overallVerdict, type LinkVerification } from '../at-rest/link-verification.js';
import { TableLedger } from '../at-rest/table-ledger.js';
import { tableId } from '../at-rest/table-shape.js';
import { LIST_LIMIT, MOST_FURTHER_BINDS, STATEMENT_DEADLINE_MS } from '../at-rest/verify-link.js';
import type { LinkReaders } from '../link/link-readers.js';
import { compareDeltas, type ComparedDeltas } from './compare-deltas.js';
import type { TouchedKeys } from './touched-keys.js';

export interface CompareTouchedRequest {
  readers: LinkReaders;
  touched: TouchedKeys;
  /** For each bind, in milliseconds. */
  bindDeadlineMs: number;
  /** Tables compared at a time. Default 4. */
  maxParallel?: number;
  signal?: AbortSignal;
}

export interface TouchedVerification extends LinkVerification {
  /** How many keys were compared. */
  keys: number;
}

/**
 * Compares exactly the rows touched since the last verified LSN, never a whole table, in one bound pair (only keys in
 * doubt, which a link without writes does not have, take a further one). Together with that verification an `equal`
 * proves the link equal at `verifiedLsn`. Where what was touched is not known completely the verdict is `pending`,
 * with the reason: verify again first. Tables without a key are judged by what both ends' streams say came and went;
 * without a stream of the subscriber they are `pending`.
 */
export async function compareTouched(request: CompareTouchedRequest): Promise<TouchedVerification> {
  const { readers, touched, bindDeadlineMs, signal } = request;
  const options = { deadlineMs: bindDeadlineMs, ...(signal ? { signal } : {}) };
  const ledger = new TableLedger(readers.positionsReason, LIST_LIMIT);
  const deltas: ComparedDeltas[] = [];
  let bound: Lsn | null = null;
  let keys = 0;

  for (let bind = 0; bind <= MOST_FURTHER_BINDS; bind++) {
    const tables = bound === null ? touched.touchedTables() : ledger.open();
    if (bound !== null && tables.length === 0) break;
    const attempt = await attemptBind(readers, tables, options);
    if (!attempt.pair) {
      if (bound === null) return undecided(attempt, readers);
      ledger.giveUp(attempt);
      break;
    }
    const { pair } = attempt;
    try {
      if (bound === null) {
        // Every transaction up to the pair's LSN has been recorded by now.
        for (const table of touched.keyless()) deltas.push(await compareDeltas(pair, readers, table));
        const byTable = touched.keys();
        for (const list of byTable.values()) keys += list.length;
        ledger.begin({ comparable: touched.shapesOf([...byTable.keys()]), notComparable: [] }, byTable);
        bound = pair.boundLsn;
      }
      const shapes = touched.shapesOf(ledger.open().map((table) => tableId(table)));
      const tasks: TableTask[] = shapes.map((shape) => ({ shape, only: ledger.doubtfulKeys(shape) }));
      await compareTables(pair, tasks, {
        maxParallel: request.maxParallel ?? 4,
        statementDeadlineMs: STATEMENT_DEADLINE_MS,
        listLimit: LIST_LIMIT,
        ...(signal ? { signal } : {}),
        onTable: (finding) => ledger.record(finding, pair.method),
      });
    } finally {
      await pair.release();
    }
  }
  return { ...conclude(ledger.conclude(), deltas, bound!, touched.overflow), keys };
}

function undecided(
  { verdict, reason }: Extract<BindAttempt, { pair: null }>,
  { positionsReason }: LinkReaders,
): TouchedVerification {
  const nothing = {
    verifiedLsn: null,
    atOneLsn: null,
    method: null,
    methodReason: positionsReason,
    tables: [],
    differences: [],
  };
  return { verdict, reason, ...nothing, keys: 0 };
}

/** Nothing touched is fine: what was verified still holds, at the newly bound LSN. */
function conclude(
  byKey: LinkVerification,
  deltas: readonly ComparedDeltas[],
  bound: Lsn,
  overflow: string | null,
): LinkVerification {
  const tables = [...deltas.map(({ table }) => table), ...byKey.tables];
  const found = tables.length === 0 ? 'equal' : overallVerdict(tables);
  const verdict = found === 'equal' && overflow !== null ? 'pending' : found;
  return {
    ...byKey,
    verdict,
    reason:
      (verdict === 'pending' ? overflow : null) ?? tables.find((table) => table.verdict === verdict)?.reason ?? null,
    verifiedLsn: verdict === 'equal' || verdict === 'different' ? bound : null,
    tables,
    differences: [...deltas.flatMap(({ differences }) => differences), ...byKey.differences],
  };
}
