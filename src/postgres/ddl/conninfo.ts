import { Problem } from '../../problems/problem.js';

/** libpq parameters by keyword, in order. */
export type Conninfo = Record<string, string>;

const SECRET_KEYWORDS = new Set(['password', 'sslpassword', 'oauth_client_secret']);
const HIDDEN = '********';

/** Writes libpq's `keyword='value'` form; backslashes and single quotes are escaped as libpq reads them. */
export function buildConninfo(parameters: Conninfo): string {
  return Object.entries(parameters)
    .map(([keyword, value]) => `${keyword}='${value.replace(/[\\']/g, '\\$&')}'`)
    .join(' ');
}

/**
 * Reads a libpq connection string in either form. Throws INVALID_INPUT without quoting the text, which may hold a
 * password; the server itself would quote it in its message, so a string is sent only once it was read here.
 */
export function parseConninfo(text: string): Conninfo {
  if (text.includes('\0')) throw invalid('it contains a zero byte');
  return /^postgres(ql)?:\/\//.test(text) ? parseUri(text) : parseKeywords(text);
}

/** The connection string with its secrets hidden; hidden as a whole when it cannot be read. */
export function redactConninfo(text: string): string {
  try {
    return buildConninfo(withoutSecrets(parseConninfo(text), HIDDEN));
  } catch {
    return HIDDEN;
  }
}

/** Parameters without the secret ones, or with these replaced. */
export function withoutSecrets(parameters: Conninfo, replacement?: string): Conninfo {
  const shown: Conninfo = {};
  for (const [keyword, value] of Object.entries(parameters)) {
    if (!SECRET_KEYWORDS.has(keyword)) shown[keyword] = value;
    else if (replacement !== undefined) shown[keyword] = replacement;
  }
  return shown;
}

function invalid(why: string): Problem {
  return new Problem('INVALID_INPUT', `the connection string is not valid: ${why}`, {
    hint: "Use libpq's form: host='db.example.org' port='5432' dbname='orders' user='replicator' password='…'.",
  });
}

function parseKeywords(text: string): Conninfo {
  const parameters: Conninfo = {};
  let at = 0;
  const skipSpace = () => {
    while (at < text.length && /\s/.test(text[at]!)) at++;
  };
  for (skipSpace(); at < text.length; skipSpace()) {
    const keyword = /^[A-Za-z_]+/.exec(text.slice(at))?.[0];
    if (!keyword) throw invalid('a keyword is expected');
    at += keyword.length;
    skipSpace();
    if (text[at] !== '=') throw invalid('"=" is missing after a keyword');
    at++;
    skipSpace();
    const quoted = text[at] === "'";
    if (quoted) at++;
    let value = '';
    for (;;) {
      const char = text[at];
      if (char === undefined) {
        if (quoted) throw invalid('a quoted value is not closed');
        break;
      }
      if (quoted ? char === "'" : /\s/.test(char)) break;
      if (char === '\\') at++;
      value += text[at] ?? '';
      at++;
    }
    if (quoted) at++;
    parameters[keyword] = value;
  }
  return parameters;
}

function parseUri(text: string): Conninfo {
  const match = /^postgres(?:ql)?:\/\/(?:([^@/?]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(text);
  if (!match) throw invalid('it is not a URI libpq reads');
  const [, credentials, hosts = '', database, query] = match;
  const parameters: Conninfo = {};
  if (hosts !== '') {
    const pairs = hosts.split(',').map((host) => /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(host));
    if (pairs.some((pair) => pair === null)) throw invalid('a host is not valid');
    parameters.host = pairs.map((pair) => decode(pair![1]!.replace(/^\[|\]$/g, ''))).join(',');
    if (pairs.some((pair) => pair![2])) parameters.port = pairs.map((pair) => pair![2] ?? '').join(',');
  }
  if (credentials !== undefined) {
    const colon = credentials.indexOf(':');
    parameters.user = decode(colon < 0 ? credentials : credentials.slice(0, colon));
    if (colon >= 0) parameters.password = decode(credentials.slice(colon + 1));
  }
  if (database) parameters.dbname = decode(database);
  for (const pair of query ? query.split('&') : []) {
    const equals = pair.indexOf('=');
    if (equals < 1) throw invalid('a query parameter has no value');
    const keyword = decode(pair.slice(0, equals));
    if (!/^[A-Za-z_]+$/.test(keyword)) throw invalid('a query parameter has an odd name');
    parameters[keyword] = decode(pair.slice(equals + 1));
  }
  return parameters;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid('it has a bad percent-encoding');
  }
}
