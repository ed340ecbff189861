import { Problem } from '../problems/problem.js';

/** Of a slot that a server was asked to make, and did not say that it refused. */
export function mayBeLeft(error: unknown, server: string, slot: string): unknown {
  const path = `/v1/servers/${encodeURIComponent(server)}/replication-slots/${slot}`;
  return explained(
    error,
    `The slot ${slot} may be there, where it keeps WAL: look at ${path} once the server answers, and drop it unless it is wanted.`,
    { slotLeft: { server, slot } },
  );
}

/** The same of one that was to be advanced. */
export function mayHaveMoved(error: unknown, slot: string): unknown {
  return explained(
    error,
    `The slot ${slot} may have been advanced: its confirmedFlushLsn, of a physical one its restartLsn, tells once the server answers.`,
  );
}

function explained(error: unknown, hint: string, extra: Record<string, unknown> = {}): unknown {
  if (!(error instanceof Problem)) return error;
  const { options } = error;
  return new Problem(error.code, error.detail, {
    ...options,
    hint,
    extra: { ...options.extra, ...extra },
    cause: error,
  });
}
