import { Problem } from './problem.js';

/** Connection lost or refused, shut down, dropped or full, or (25006) a host that takes no writes, e.g. amid a failover. */
const AWAY_STATE = /^(08...|57P0[1-5]|53300|25006)$/;
const AWAY_ERRNO = /^(ECONN|EPIPE|ETIMEDOUT|EHOST|ENET|ENOTFOUND|EAI_AGAIN)/;
const AWAY_MESSAGE =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Query read timeout)/;

/**
 * Whether the error says that our own database is away, not that we have a bug. Faults of managed servers arrive as
 * Problems, so what is left with a connection's error code is our own. What TypeORM throws wraps the driver's error.
 */
export function isStateAway(error: unknown): boolean {
  if (error instanceof Problem || !(error instanceof Error)) return false;
  const code = codeOf((error as { driverError?: unknown }).driverError) ?? codeOf(error);
  if (code !== undefined && (AWAY_STATE.test(code) || AWAY_ERRNO.test(code))) return true;
  return AWAY_MESSAGE.test(error.message);
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}
