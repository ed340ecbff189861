/** What callers may rely on about one kind of error. The key is the stable `code` of the problem document. */
export interface ErrorCodeEntry {
  status: number;
  title: string;
  /** Whether the same request may succeed later without a change by the caller. */
  retryable: boolean;
  /** When it happens and what to do, for docs/errors.md. */
  description: string;
}

function entry(status: number, title: string, retryable: boolean, description: string): ErrorCodeEntry {
  return { status, title, retryable, description };
}

/** Every error code of the API. Codes are never renamed or removed; docs/errors.md is generated from here. */
export const ERROR_CODES = {
  INVALID_INPUT: entry(
    400,
    'The request is not valid',
    false,
    'A field is missing, unknown or of the wrong type or range. `errors` points at each one.',
  ),
  MALFORMED_BODY: entry(400, 'The body is not valid JSON', false, 'The body could not be parsed. Send JSON.'),
  UNAUTHENTICATED: entry(
    401,
    'A valid token is required',
    false,
    'Send `Authorization: Bearer <token>`. The token may be unknown, expired or revoked.',
  ),
  FORBIDDEN: entry(403, 'The token lacks the scope', false, 'The token is valid but its scope is too narrow.'),
  NOT_FOUND: entry(404, 'There is no such resource', false, 'Nothing with that name or id exists.'),
  METHOD_NOT_ALLOWED: entry(405, 'The method is not allowed here', false, 'The path exists, the method does not.'),
  ALREADY_EXISTS: entry(409, 'The name is taken', false, 'A resource with that name exists. Choose another name.'),
  CONFLICT: entry(
    409,
    'The request conflicts with the current state',
    false,
    'The resource changed or is used by something else; `detail` says by what.',
  ),
  WRONG_STATE: entry(
    409,
    'The action does not fit the current state',
    false,
    'For example approving a gate that is not awaited, or rolling back an upgrade that has not been switched.',
  ),
  IDEMPOTENCY_KEY_REUSED: entry(
    409,
    'The idempotency key was used for another request',
    false,
    'The same `Idempotency-Key` came with another method, path or body. Use a new key.',
  ),
  REQUEST_IN_PROGRESS: entry(
    409,
    'The same request is still being processed',
    true,
    'A request with this `Idempotency-Key` has not ended yet. Ask again in a moment.',
  ),
  SLOT_ACTIVE: entry(409, 'The replication slot is in use', true, 'A walsender is streaming from the slot.'),
  OBJECT_IN_USE: entry(409, 'The object is in use', true, 'The managed server refuses while others use the object.'),
  LIMIT_REACHED: entry(
    409,
    'A limit of the managed server is reached',
    false,
    'For example max_replication_slots or max_connections. `detail` names it.',
  ),
  PREREQUISITE_FAILED: entry(
    409,
    'The managed server is not in the state this needs',
    false,
    'The server said the object is not in the prerequisite state; `detail` carries its message.',
  ),
  PRECONDITION_FAILED: entry(
    412,
    'One or more checks failed',
    false,
    '`checks` lists each with what was observed, what is expected, the SQL and the remedy.',
  ),
  PAYLOAD_TOO_LARGE: entry(413, 'The body is too large', false, 'Send less.'),
  UNSUPPORTED_MEDIA_TYPE: entry(415, 'The media type is not supported', false, 'Send `application/json`.'),
  NOT_ACCEPTABLE: entry(406, 'No acceptable representation', false, 'The `Accept` header names no format we have.'),
  NOT_AVAILABLE: entry(
    422,
    'This value is known but not available in this release',
    false,
    'The API reserves the value; this release does not implement it.',
  ),
  OPTION_NOT_SUPPORTED: entry(
    422,
    'The server version does not support the option',
    false,
    'The option needs a newer publisher or subscriber; `hint` names the version.',
  ),
  TOO_MANY_REQUESTS: entry(429, 'Too many requests', true, 'Slow down and try again.'),
  SERVER_UNREACHABLE: entry(
    503,
    'The managed server cannot be reached',
    true,
    'Connecting failed: refused, no route, name not resolved, or the server is starting or shutting down.',
  ),
  SERVER_TIMEOUT: entry(
    504,
    'The managed server did not answer in time',
    true,
    'A connection attempt, statement or lock wait passed its deadline. `detail` says which.',
  ),
  SERVER_AUTHENTICATION_FAILED: entry(
    502,
    'The managed server refused the login',
    false,
    'Wrong user or password, or pg_hba.conf does not let Lockstep in.',
  ),
  SERVER_TLS_FAILED: entry(
    502,
    'TLS with the managed server failed',
    false,
    'The server has no TLS, or its certificate does not pass the mode asked for. Check `tls.mode` and `tls.ca`.',
  ),
  SERVER_VERSION_UNSUPPORTED: entry(
    422,
    'The server version is not supported',
    false,
    'Lockstep manages PostgreSQL 13 and newer.',
  ),
  SERVER_PRIVILEGE_MISSING: entry(
    403,
    'The login lacks a privilege on the managed server',
    false,
    '`detail` names the privilege; grant it to the user the server was registered with.',
  ),
  SERVER_FAILED: entry(502, 'The managed server reported an error', false, '`sqlstate` and `detail` carry its words.'),
  DATABASE_NOT_FOUND: entry(
    404,
    'There is no such database',
    false,
    'The managed server has no database of that name.',
  ),
  NOT_READY: entry(503, 'Lockstep is not ready', true, 'Starting or shutting down; see `GET /health/ready`.'),
  INTERNAL: entry(500, 'Internal error', false, 'A bug in Lockstep. Quote `requestId` when reporting it.'),
} as const satisfies Record<string, ErrorCodeEntry>;

export type ErrorCode = keyof typeof ERROR_CODES;
