import { PASSWORD_REQUIRED } from '../changes/missing-privilege.js';
import { connect, type ConnectionTarget } from '../postgres/connection.js';
import type { Conninfo } from '../postgres/ddl/conninfo.js';
import { Problem } from '../problems/problem.js';
import type { ServerAddress } from './publisher-lookup.js';
import { PROBE, probeTarget } from './publisher-probe.js';

/** Of a subscriber that could not connect to its publisher, for whatever reason; an older one has no state of its own for it. */
const COULD_NOT_CONNECT = new Set(['08006', '08001', 'XX000']);
const REFUSES_LOGIN = new Set(['28P01', '28000']);
/** libpq's own words, which it does not translate. */
const NO_PASSWORD = 'fe_sendauth: no password supplied';
/** Those of a server that speaks English. */
const REFUSED = /(password authentication failed for user|no pg_hba\.conf entry for) .*/;

/**
 * CREATE SUBSCRIPTION that failed because the publisher refused the login of the connection string: the subscriber tells
 * of all that went wrong at its publisher by one SQLSTATE, with the publisher's words, in the publisher's language. The
 * same login is tried from here; where the publisher answers with the same words, its SQLSTATE says what they mean.
 * Where it cannot be reached from here, its words are known in English only. Anything else is answered as it is.
 */
export async function explainRefusedLogin(
  error: unknown,
  connection: Conninfo,
  subscriber: ServerAddress | null,
): Promise<unknown> {
  if (!(error instanceof Problem)) return error;
  if (error.options.sqlstate === PASSWORD_REQUIRED) return needsPassword(error);
  if (!COULD_NOT_CONNECT.has(error.options.sqlstate ?? '')) return error;
  if (error.detail.includes(NO_PASSWORD)) return refused(error, 'it asks for a password, and none is given');
  const target = probeTarget(connection, subscriber);
  const said = target === null ? null : await refusalOf(target);
  if (said !== null && error.detail.includes(said.message)) return refused(error, said.message, said.sqlstate);
  const words = REFUSED.exec(error.detail)?.[0];
  return words === undefined ? error : refused(error, words);
}

function needsPassword(error: Problem): Problem {
  return new Problem(error.code, error.detail, {
    ...error.options,
    errors: [{ pointer: '#/connection', detail: 'there must be a password, which the publisher asks for' }],
    cause: error,
  });
}

/** What the publisher says to that login from here; null: it lets it in, or did not get as far as that. */
async function refusalOf(target: ConnectionTarget): Promise<{ message: string; sqlstate: string } | null> {
  try {
    const client = await connect(target, PROBE);
    await client.end().catch(() => {});
    return null;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const { sqlstate, cause } = error.options;
    if (sqlstate === undefined || !REFUSES_LOGIN.has(sqlstate) || !(cause instanceof Error)) return null;
    return { message: cause.message, sqlstate };
  }
}

function refused(error: Problem, words: string, sqlstate = error.options.sqlstate!): Problem {
  const detail = `the publisher refused the login of the connection string: ${words}`;
  return new Problem('INVALID_INPUT', detail, {
    hint: "Check user and password, and whether the publisher's pg_hba.conf lets this user in from the subscriber's host.",
    sqlstate,
    errors: [{ pointer: '#/connection', detail: 'the publisher refuses this login' }],
    ...(error.options.extra === undefined ? {} : { extra: error.options.extra }),
    cause: error,
  });
}
