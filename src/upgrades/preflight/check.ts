import { MAY_SEE_ACTIVITY } from '../../postgres/catalog/fence.sql.js';
import type { ConnectionTarget } from '../../postgres/connection.js';
import type { Session } from '../../postgres/session.js';
import { identifier } from '../../postgres/quoting.js';
import { Problem } from '../../problems/problem.js';
import type { PreflightOptions } from './options.js';

/** `blocker` stops the upgrade, `warning` asks for a decision, `info` is worth knowing. */
type Severity = 'blocker' | 'warning' | 'info';

/** Facts behind a result, as the server printed them. */
export type PreflightRow = Record<string, unknown>;

/** One line of the preflight report. */
export interface PreflightResult {
  /** Stable kebab-case name. */
  check: string;
  /** Of a failure; a check that passed weighs nothing. */
  severity: Severity;
  passed: boolean;
  observed: string;
  expected: string;
  /** What to do about it; null when there is nothing to do. */
  remedy: string | null;
  /** The statement that proves it, to be run by hand. */
  sql: string;
  /** Up to 100 of the rows found. */
  rows?: PreflightRow[];
}

/** What a check looks at: one session in the database on either side. */
export interface PreflightContext {
  source: Session;
  target: Session;
  options: PreflightOptions;
  /** How Lockstep reaches the databases, for what needs a session of its own. Hold passwords. */
  connections: Record<Side, ConnectionTarget>;
  signal: AbortSignal | undefined;
}

export type Side = 'source' | 'target';

interface Finding {
  passed: boolean;
  observed: string;
  expected: string;
  remedy?: string | undefined;
  /** Overrides the check's own, where it depends on what was found. */
  severity?: Severity;
  rows?: PreflightRow[] | undefined;
}

export interface Check {
  name: string;
  severity: Severity;
  /** The proving statement for these servers. */
  sql: (context: PreflightContext) => string;
  judge: (context: PreflightContext) => Promise<Finding>;
}

interface RowsCheck {
  name: string;
  severity: Severity;
  side: Side;
  sql: string | ((context: PreflightContext) => string);
  parameters?: (context: PreflightContext) => unknown[];
  /** Said when there is no row, e.g. `no unlogged tables`. */
  expected: string;
  /** What the rows are, e.g. `unlogged relations`; the count goes before it. */
  what: string;
  /** From the rows, where it can be given as the statements to run. */
  remedy: string | ((rows: PreflightRow[], context: PreflightContext) => string);
  /** When false the trap does not exist between these two servers, and nothing is asked. */
  applies?: (context: PreflightContext) => boolean;
}

/** A check that passes when its statement finds nothing. Rows name what they found in a column `object`. */
export function rowsCheck(definition: RowsCheck): Check {
  const { name, severity, side, expected, what, remedy, applies, parameters } = definition;
  const sql = (context: PreflightContext) =>
    typeof definition.sql === 'string' ? definition.sql : definition.sql(context);
  return {
    name,
    severity,
    sql,
    judge: async (context) => {
      if (applies && !applies(context)) return { passed: true, observed: 'does not apply to these servers', expected };
      const rows = await context[side].rows<PreflightRow>(sql(context), parameters?.(context));
      if (rows.length === 0) return { passed: true, observed: 'none', expected };
      return {
        passed: false,
        observed: `${rows.length} ${what}: ${listed(rows)}`,
        expected,
        remedy: typeof remedy === 'string' ? remedy : remedy(rows, context),
        rows,
      };
    },
  };
}

/** Refuses to answer from pg_stat_activity where the server hides other roles' sessions: a count would be too low. */
export function seesActivity(side: Side, check: Check): Check {
  return {
    ...check,
    judge: async (context) => {
      const { visible } = await context[side].row<{ visible: boolean }>(MAY_SEE_ACTIVITY);
      if (visible) return check.judge(context);
      const { login } = await context[side].row<{ login: string }>('select session_user::text as login');
      throw new Problem('SERVER_PRIVILEGE_MISSING', `the login on the ${side} may not see what other sessions do`, {
        hint: `grant pg_read_all_stats to ${identifier(login)};`,
      });
    },
  };
}

/** For what several checks look at and a large database takes long to answer: asked once in each run. */
export function oncePerRun<T>(
  ask: (context: PreflightContext) => Promise<T>,
): (context: PreflightContext) => Promise<T> {
  const answers = new WeakMap<PreflightContext, Promise<T>>();
  return (context) => {
    const answer = answers.get(context) ?? ask(context);
    answers.set(context, answer);
    return answer;
  };
}

/** The first few objects by name, and how many more there are. */
export function listed(rows: PreflightRow[], shown = 5): string {
  const names = rows.slice(0, shown).map(({ object }) => String(object));
  return names.join(', ') + (rows.length > shown ? ` and ${rows.length - shown} more` : '');
}
