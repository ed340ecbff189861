/** PostgreSQL's limit for names (NAMEDATALEN - 1), in bytes of UTF-8; longer names are silently cut by the server. */
export const MAX_IDENTIFIER_BYTES = 63;

export function identifierProblem(name: string): string | null {
  if (name.length === 0) return 'must not be empty';
  if (name.includes('\0')) return 'must not contain a zero byte';
  if (/\p{Surrogate}/u.test(name)) return 'must be Unicode text: half of a surrogate pair stands alone';
  const bytes = Buffer.byteLength(name, 'utf8');
  if (bytes > MAX_IDENTIFIER_BYTES) return `must be at most ${MAX_IDENTIFIER_BYTES} bytes, is ${bytes}`;
  return null;
}

/** Slot names are narrower than other identifiers: the server accepts only `[a-z0-9_]`. */
export function slotNameProblem(name: string): string | null {
  return /^[a-z0-9_]{1,63}$/.test(name) ? null : 'must be 1 to 63 characters of a-z, 0-9 and _';
}
