import { readSlotCreationBlockers, type SlotCreationBlocker } from '../postgres/catalog/replication-slots.js';
import type { ConnectionTarget } from '../postgres/connection.js';
import type { Conninfo } from '../postgres/ddl/conninfo.js';
import { withSession } from '../postgres/session.js';
import { redactText } from '../observability/redact.js';
import { Problem } from '../problems/problem.js';
import type { ServerAddress } from './publisher-lookup.js';
import { isKnown, PROBE, probeTarget } from './publisher-probe.js';

const TIMED_OUT = '57014';
/** Said by whoever answers at the address. */
const ANSWERED = new Set(['SERVER_AUTHENTICATION_FAILED', 'SERVER_TLS_FAILED', 'DATABASE_NOT_FOUND', 'LIMIT_REACHED']);

/** What was found at the publisher's address, seen from Lockstep. */
interface Probe {
  /** Null: not known, for it cannot be tried from here. */
  reached: boolean | null;
  reason: string | null;
  /** Transactions that a slot waits for; null: they could not be read. */
  blockers: SlotCreationBlocker[] | null;
}

/**
 * CREATE SUBSCRIPTION that ran out of time: the subscriber does not say whether it waited for the publisher to answer,
 * or for a transaction to end there. The address is tried from here, which tells the two apart where it leads to the
 * same server from here.
 */
export async function explainCreationTimeout(
  error: unknown,
  connection: Conninfo,
  subscriber: ServerAddress | null,
  waitedMs: number,
  /** By a login that may see more than that of the connection string; null: there is none. */
  readBlockers: (() => Promise<SlotCreationBlocker[]>) | null,
): Promise<unknown> {
  if (!(error instanceof Problem) || error.options.sqlstate !== TIMED_OUT) return error;
  const target = probeTarget(connection, subscriber);
  const where = target === null ? 'the publisher' : `the publisher at ${target.host}:${target.port}`;
  const probe = target === null ? untried() : await probeAddress(target);
  const seen = probe.reached === true && readBlockers !== null ? await readBlockers().catch(() => null) : null;
  const waitedFor = ({ ageSeconds }: SlotCreationBlocker) => ageSeconds === null || ageSeconds * 1000 >= waitedMs;
  probe.blockers = (seen ?? probe.blockers)?.filter(waitedFor) ?? null;
  const { detail, hint } = told(probe, where);
  return new Problem('SERVER_TIMEOUT', `the subscription was not created within ${waitedMs} ms: ${detail}`, {
    sqlstate: TIMED_OUT,
    hint,
    extra: {
      ...error.options.extra,
      ...{ publisherReached: probe.reached, publisherReason: probe.reason, blockers: probe.blockers },
    },
    cause: error,
  });
}

function told({ reached, reason, blockers }: Probe, where: string): { detail: string; hint: string } {
  if (reached === false) {
    return {
      detail: `${where} does not answer Lockstep either: ${reason}`,
      hint: 'Check host and port, name resolution, firewalls and pg_hba.conf between subscriber and publisher.',
    };
  }
  if (reached === null) {
    return {
      detail: `it is not known whether ${where} answered: ${reason}`,
      hint: 'See the log of the subscriber, and on the publisher look for long transactions, which a slot waits for.',
    };
  }
  const [first] = blockers ?? [];
  if (first) {
    const who = first.pid === null ? `prepared transaction ${first.preparedGid}` : `process ${first.pid}`;
    return {
      detail: `${where} answers, and its slot waits for ${blockers!.length} running transaction(s)`,
      hint: `End ${who} (${first.user ?? 'unknown user'}) on the publisher, or wait for it; then try again.`,
    };
  }
  const seen = blockers === null ? `what runs there could not be read: ${reason}` : 'no transaction is in the way now';
  return {
    detail: `${where} answers Lockstep; ${seen}`,
    hint: 'Try again. If it goes on, the subscriber may not reach the address that Lockstep reaches.',
  };
}

async function probeAddress(target: ConnectionTarget): Promise<Probe> {
  let connected = false;
  try {
    const found = await withSession(target, PROBE, async (session) => {
      connected = true;
      return isKnown(session) ? readSlotCreationBlockers(session) : null;
    });
    if (found === null) return { reached: true, reason: 'it is older than what Lockstep knows', blockers: null };
    const blockers = found.map(({ query, ...rest }) => ({ ...rest, query: query === null ? null : redactText(query) }));
    return { reached: true, reason: null, blockers };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { reached: connected || ANSWERED.has(error.code), reason: error.detail, blockers: null };
  }
}

function untried(): Probe {
  const reason =
    "the connection string names several hosts, a socket, none, or an address of the subscriber's own host";
  return { reached: null, reason, blockers: null };
}
