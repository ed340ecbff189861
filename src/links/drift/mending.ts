import type { Place, PlannedStatement } from '../../changes/change.js';
import { type Finding, type Mend, PHASES } from './finding.js';

export interface OrderedStatement extends PlannedStatement {
  /** From 1, over the whole link: the order in which they are to run. */
  order: number;
}

export interface DriftFinding extends Omit<Finding, 'mends'> {
  /** Those of the link's statements that mend it; one may mend several findings. */
  statements: OrderedStatement[];
}

export interface Mending {
  findings: DriftFinding[];
  /** Those that end the drift, in order. Never run by us. Drops and renames stand with their findings only: they may be wrong. */
  statements: OrderedStatement[];
}

/** Puts the statements of all findings in one order, each once. */
export function arrange(findings: readonly Finding[], ends: Record<'publisher' | 'subscriber', Place>): Mending {
  const mends = new Map<string, Mend>();
  for (const mend of findings.flatMap((finding) => finding.mends)) {
    const key = keyOf(mend);
    if (!mends.has(key)) mends.set(key, mend);
  }
  const inOrder = [...mends].sort(([, one], [, other]) => one.phase - other.phase);
  const required = inOrder.filter(([, { phase }]) => phase < PHASES.optional).length;
  const statements = new Map<string, OrderedStatement>();
  for (const [index, [key, { side, statement }]] of inOrder.entries()) {
    const { redactedSql: sql, transactional, lock } = statement;
    statements.set(key, { order: index + 1, ...ends[side], sql, transactional, lock });
  }
  return {
    findings: findings.map(({ mends: own, ...finding }) => ({
      ...finding,
      statements: own.map((mend) => statements.get(keyOf(mend))!).sort((one, other) => one.order - other.order),
    })),
    statements: [...statements.values()].slice(0, required),
  };
}

function keyOf({ side, statement }: Mend): string {
  return `${side} ${statement.sql}`;
}
