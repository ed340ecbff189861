import type { TlsSettings } from '../postgres/connection.js';
import type { AdvertisedTls } from './server-view.js';

interface WayThere {
  host: string;
  port: number;
  tls: TlsSettings;
  advertisedHost: string | null;
  advertisedPort: number | null;
  advertisedTls: AdvertisedTls | null;
}

const STRENGTHS: TlsSettings['mode'][] = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'];
const PROVEN = STRENGTHS.indexOf('verify-ca');

/**
 * The fields by which a change would have the stored password sent to where it has not been sent yet, or less
 * protected on the way. Whoever may change a server need not know its password, and must not come by it.
 */
export function sendsPasswordElsewhere(before: WayThere, after: WayThere): string[] {
  const hosts = [before.host, before.advertisedHost ?? before.host];
  const ports = [before.port, before.advertisedPort ?? before.port];
  const suspect: Record<string, boolean> = {
    host: after.host !== before.host,
    port: after.port !== before.port,
    tls: isWeaker(before.tls, after.tls),
    advertisedHost: !hosts.includes(after.advertisedHost ?? before.host),
    advertisedPort: !ports.includes(after.advertisedPort ?? before.port),
    advertisedTls: isWeaker({ mode: advertisedMode(before) }, { mode: advertisedMode(after) }),
  };
  return Object.keys(suspect).filter((field) => suspect[field]);
}

/** Also another authority than the one that was to prove who the server is. */
function isWeaker(before: TlsSettings, after: TlsSettings): boolean {
  const [was, is] = [strength(before), strength(after)];
  return is < was || (was >= PROVEN && before.ca !== after.ca);
}

/** As in libpq, a given CA turns require into verify-ca. */
function strength({ mode, ca }: TlsSettings): number {
  return mode === 'require' && ca !== undefined ? PROVEN : STRENGTHS.indexOf(mode);
}

function advertisedMode({ advertisedTls, tls }: WayThere): TlsSettings['mode'] {
  return advertisedTls?.mode ?? tls.mode;
}
