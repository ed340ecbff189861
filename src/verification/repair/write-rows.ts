import type { Session } from '../../postgres/session.js';
import { sqlstateOf } from '../../postgres/translate-error.js';
import type { TableShape } from '../at-rest/table-shape.js';
import type { DifferingRow } from './judge-keys.js';
import { repairStatement } from './repair-statement.js';

/** What came of writing one row. */
export type Written =
  | { written: true }
  /** `lasting`: it would be refused again. */
  | { written: false; reason: string; lasting: boolean };

/** What is in the way now and may be gone soon: a lock, a deadlock, a statement that took too long. */
const PASSING = new Set(['55P03', '40P01', '40001', '57014']);
const ORDER = { extra: 0, different: 1, missing: 2 };

/**
 * Makes rows of one table right in the session's transaction: first what is too much, so that it is in nobody's way. A
 * row that the server refuses is left as it is. Rejects only where the session is lost.
 */
export async function writeRows(
  session: Session,
  shape: TableShape,
  rows: readonly DifferingRow[],
  /** Foreign keys and triggers take part: what is deferred is looked at before the commit, which could not be undone. */
  checked: boolean,
): Promise<Map<DifferingRow, Written>> {
  const ordered = [...rows].sort((a, b) => ORDER[a.kind] - ORDER[b.kind]);
  await session.execute('savepoint lockstep');
  try {
    const outcomes = new Map<DifferingRow, Written>();
    for (const row of ordered) outcomes.set(row, await write(session, shape, row));
    if (checked) await session.execute('set constraints all immediate');
    return outcomes;
  } catch (error) {
    if (!session.alive || sqlstateOf(error) === undefined) throw error;
    await session.execute('rollback to savepoint lockstep');
  }
  // One is refused: the others are written without it, and it is tried once more after them (a unique value may be free).
  const outcomes = await writeEach(session, shape, ordered, checked);
  const refused = ordered.filter((row) => !outcomes.get(row)!.written);
  for (const [row, outcome] of await writeEach(session, shape, refused, checked)) outcomes.set(row, outcome);
  return outcomes;
}

async function writeEach(
  session: Session,
  shape: TableShape,
  rows: readonly DifferingRow[],
  checked: boolean,
): Promise<Map<DifferingRow, Written>> {
  const outcomes = new Map<DifferingRow, Written>();
  for (const row of rows) {
    await session.execute('savepoint lockstep_row');
    try {
      const outcome = await write(session, shape, row);
      if (checked) await session.execute('set constraints all immediate');
      outcomes.set(row, outcome);
      await session.execute('release savepoint lockstep_row');
    } catch (error) {
      const sqlstate = sqlstateOf(error);
      if (!session.alive || sqlstate === undefined) throw error;
      await session.execute('rollback to savepoint lockstep_row');
      const reason = `the subscriber refused it (SQLSTATE ${sqlstate})${messageOf(error as Error, sqlstate)}`;
      outcomes.set(row, { written: false, reason, lasting: !PASSING.has(sqlstate) });
    }
  }
  return outcomes;
}

/** Constraints, privileges and locks are told by their names; what else is said may quote values of the row. */
function messageOf({ message }: Error, sqlstate: string): string {
  return /^(23|40|42501|55)/.test(sqlstate) ? `: ${message}` : '; its log says more';
}

async function write(session: Session, shape: TableShape, row: DifferingRow): Promise<Written> {
  const { sql, values } = repairStatement(shape, row);
  const hit = await session.affected(sql, values);
  if (hit === 1) return { written: true };
  const reason = 'a row with an equal key, or a trigger that fires on applying as well, kept it from being written';
  return { written: false, reason, lasting: false };
}
