import { PG16 } from './server-version.js';

const MAX_BYTES = 63;

/**
 * What a publisher of that version shows as application_name of a client that calls itself `name`: printable ASCII only,
 * cut to the length of a name.
 */
export function shownApplicationName(name: string, publisherVersion: number): string {
  const bytes = [...Buffer.from(name)];
  const shown = bytes.map((byte) => {
    if (byte >= 32 && byte <= 126) return String.fromCharCode(byte);
    return publisherVersion >= PG16 ? `\\x${byte.toString(16).padStart(2, '0')}` : '?';
  });
  return shown.join('').slice(0, MAX_BYTES);
}
