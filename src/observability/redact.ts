const REDACTED = '[redacted]';

/** Shorter ones would turn half of every text into the mark, and tell the secret by doing so. */
const SHORTEST_LIVE_SECRET = 6;
/** Secrets of servers long gone leave at last; far above the number of servers one service manages. */
const MOST_LIVE_SECRETS = 5_000;

const SECRET_FIELD =
  /^(?:password|passwd|pwd|passfile|secret|token|authorization|cookie|api_?key|secret_?key|admin_?token)$/i;

/** What secrets look like where they are written: connection strings, URLs, SQL, headers, JSON, our own tokens. */
const PATTERNS: [RegExp, string][] = [
  [/([a-z][a-z0-9+.-]*:\/\/[^\s:/@"']*:)[^\s@/"']+@/gi, `$1${REDACTED}@`],
  [/\b(password|passwd)(\s*=\s*)(?:''(?:[^'])*''|'(?:\\.|[^'\\])*'|[^\s'",;}&]+)/gi, `$1$2${REDACTED}`],
  [/\b(password)(\s+)'(?:[^']|'')*'/gi, `$1$2'${REDACTED}'`],
  [
    /(["']?\b(?:password|token|secret|authorization)["']?\s*:\s*)(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')/gi,
    `$1"${REDACTED}"`,
  ],
  // Customised options (`app.api_key`) are where applications keep secrets in role settings.
  [/(\bset\s+(?:"[^"]+"|[\w$]+)\.(?:"[^"]+"|[\w$]+)\s*(?:\bto\b|=)\s*)'(?:[^']|'')*'/gi, `$1'${REDACTED}'`],
  [/\bBearer\s+[A-Za-z0-9._~+/=-]{16,}/gi, `Bearer ${REDACTED}`],
  [/\blst_[A-Za-z0-9_-]{20,}/g, REDACTED],
  [/SCRAM-SHA-256\$[^\s'"]+/g, REDACTED],
  [/\bmd5[0-9a-f]{32}\b/g, REDACTED],
];

const liveSecrets = new Set<string>();
let livePattern: RegExp | null = null;

/**
 * Makes a secret known, so that `redactText` finds it wherever it turns up, also escaped for JSON, SQL, a connection
 * string or a URL. Call it with every secret that is decrypted or accepted.
 *
 * @param publicNames names that are printed anyway (user, database, host): a secret equal to one of them cannot be
 *   hidden by replacing it, only by where it stands.
 */
export function registerSecret(secret: string, publicNames: readonly string[] = []): void {
  if (secret.length < SHORTEST_LIVE_SECRET || publicNames.includes(secret)) return;
  if (liveSecrets.has(secret)) return;
  liveSecrets.add(secret);
  if (liveSecrets.size > MOST_LIVE_SECRETS) liveSecrets.delete(liveSecrets.values().next().value!);
  livePattern = null;
}

/** The text without secrets: live ones by value, others by the form they are written in. */
export function redactText(text: string): string {
  let clean = redactLiveSecrets(text);
  for (const [pattern, replacement] of PATTERNS) clean = clean.replace(pattern, replacement);
  return clean;
}

/** Only the live secrets; safe on serialised JSON, because escaped forms are looked for too. */
export function redactLiveSecrets(text: string): string {
  livePattern ??= patternOf(liveSecrets);
  return livePattern === null ? text : text.replace(livePattern, REDACTED);
}

/** A copy of a JSON-like value with secret fields and every text in it redacted. Errors become plain objects. */
export function redactValue(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return value.toString();
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof Date) return value.toISOString();
  if (depth > 8) return '[deep]';
  if (Array.isArray(value)) return value.map((item) => redactValue(item, depth + 1));
  if (Buffer.isBuffer(value)) return `[${value.length} bytes]`;
  const source: object = value instanceof Error ? errorFields(value) : value;
  return Object.fromEntries(
    Object.entries(source).map(([name, field]) => [
      name,
      SECRET_FIELD.test(name) && field !== null && field !== undefined ? REDACTED : redactValue(field, depth + 1),
    ]),
  );
}

function errorFields(error: Error): Record<string, unknown> {
  const { code, sqlstate } = error as { code?: unknown; sqlstate?: unknown };
  return {
    type: error.name,
    message: error.message,
    stack: error.stack,
    ...(code === undefined ? {} : { code }),
    ...(sqlstate === undefined ? {} : { sqlstate }),
    ...(error.cause instanceof Error ? { cause: error.cause } : {}),
  };
}

function patternOf(secrets: Set<string>): RegExp | null {
  if (secrets.size === 0) return null;
  const forms = new Set<string>();
  for (const secret of secrets) {
    const sqlLiteral = secret.replaceAll("'", "''");
    const conninfo = secret.replace(/(['\\])/g, '\\$1');
    for (const form of [secret, sqlLiteral, conninfo, conninfo.replaceAll("'", "''")]) {
      forms.add(form);
      forms.add(JSON.stringify(form).slice(1, -1));
    }
    forms.add(encodeURIComponent(secret));
    forms.add(encodeURI(secret));
  }
  const longestFirst = [...forms].sort((a, b) => b.length - a.length);
  return new RegExp(longestFirst.map((form) => form.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|'), 'g');
}
