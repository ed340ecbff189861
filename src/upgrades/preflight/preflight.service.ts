import type { ConnectionTarget } from '../../postgres/connection.js';
import { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import type { Check, PreflightContext, PreflightResult, Side } from './check.js';
import { ALL_CHECKS } from './checks/all.js';
import { type PreflightOptions, replicationAddress } from './options.js';

const ROWS_SHOWN = 100;

export interface PreflightInput {
  source: ConnectionTarget;
  target: ConnectionTarget;
  options: PreflightOptions;
  /** Narrows the answer to the checks of these names, besides whether each server is reached. Default: all. */
  only?: (check: string) => boolean;
  signal?: AbortSignal;
}

/**
 * Asks both servers everything that could stop an upgrade later, in order, one session on each side; changes nothing.
 * A check that cannot be answered has failed and says so; when a server cannot be reached at all, that is the only
 * result about it.
 */
export async function runPreflight(input: PreflightInput): Promise<PreflightResult[]> {
  const { source, target, options, only, signal } = input;
  const opened = await Promise.allSettled([open(source), open(target)]);
  const sessions = opened.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  try {
    const reached = [reachable('source', source, opened[0]), reachable('target', target, opened[1])];
    if (sessions.length < 2) return reached;
    const context: PreflightContext = {
      source: sessions[0]!,
      target: sessions[1]!,
      options: {
        ...options,
        sourceAddress: options.sourceAddress ?? replicationAddress(source),
        targetAddress: options.targetAddress ?? replicationAddress(target),
      },
      connections: { source, target },
      signal,
    };
    const results = [...reached];
    for (const check of ALL_CHECKS.filter(({ name }) => only?.(name) ?? true)) {
      signal?.throwIfAborted();
      results.push(await runCheck(check, context));
    }
    return results;
  } finally {
    await Promise.all(sessions.map((session) => session.close()));
  }
}

async function runCheck(check: Check, context: PreflightContext): Promise<PreflightResult> {
  const sql = check.sql(context).trim();
  try {
    const finding = await check.judge(context);
    return {
      check: check.name,
      severity: finding.severity ?? check.severity,
      passed: finding.passed,
      observed: finding.observed,
      expected: finding.expected,
      remedy: finding.passed ? null : (finding.remedy ?? null),
      sql,
      ...(finding.rows && finding.rows.length > 0 ? { rows: finding.rows.slice(0, ROWS_SHOWN) } : {}),
    };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return {
      check: check.name,
      severity: check.severity,
      passed: false,
      observed: `could not be determined: ${error.detail}`,
      expected: 'an answer from the server',
      remedy: error.options.hint ?? 'Let the login run the statement in `sql`, or wait until the server answers again.',
      sql,
    };
  }
}

function open(target: ConnectionTarget): Promise<Session> {
  return Session.open(target, { purpose: 'preflight' });
}

function reachable(
  side: Side,
  { host, port, database }: ConnectionTarget,
  outcome: PromiseSettledResult<Session>,
): PreflightResult {
  const base = { check: `${side}-reachable`, severity: 'blocker' as const, sql: 'select 1' };
  const expected = `a session in database ${database} of ${host}:${port}`;
  if (outcome.status === 'fulfilled') {
    return { ...base, passed: true, observed: 'connected', expected, remedy: null };
  }
  if (!(outcome.reason instanceof Problem)) throw outcome.reason as Error;
  const remedy = outcome.reason.options.hint ?? 'Make the server and its database reachable for Lockstep.';
  return { ...base, passed: false, observed: outcome.reason.detail, expected, remedy };
}
