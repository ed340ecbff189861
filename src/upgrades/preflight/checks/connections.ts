import type { TlsSettings } from '../../../postgres/connection.js';
import { PROBE_SHOWN, probePublisher, type ProbeRefusal } from '../../../postgres/replication/connection-probe.js';
import { Problem } from '../../../problems/problem.js';
import { publisherConninfo, type PublisherTarget } from '../../../subscriptions/publisher-connection.js';
import type { Check, PreflightContext, Side } from '../check.js';

const INSUFFICIENT_PRIVILEGE = '42501';
/** prohibited_sql_statement_attempted: the publisher did not ask for a password, which a login without superuser needs. */
const PASSWORD_REQUIRED = '2F003';

/** The publisher as the other server will reach it. */
function publisher({ options, connections }: PreflightContext, side: Side): PublisherTarget {
  const address = side === 'source' ? options.sourceAddress : options.targetAddress;
  return { ...connections[side], ...address! };
}

async function probe(context: PreflightContext, from: Side, to: PublisherTarget): Promise<ProbeRefusal | null> {
  const refusal = await probePublisher(context[from], publisherConninfo(to));
  if (refusal?.sqlstate !== INSUFFICIENT_PRIVILEGE) return refusal;
  throw new Problem('SERVER_PRIVILEGE_MISSING', refusal.message, { hint: 'See the privileges of the login.' });
}

/** The connection of the subscription, tried by the server that will make it. */
function reaches(from: Side, to: Side): Check {
  return {
    name: `${from}-reaches-${to}`,
    severity: 'blocker',
    sql: () => PROBE_SHOWN,
    judge: async (context) => {
      const address = publisher(context, to);
      const refusal = await probe(context, from, address);
      return {
        passed: refusal === null,
        observed: refusal === null ? `connected to ${address.host}:${address.port}` : refusal.message,
        expected: `the ${from} may connect to database ${address.database} of ${address.host}:${address.port} as ${address.user}`,
        remedy: remedyFor(refusal, from, to, address),
      };
    },
  };
}

function remedyFor(refusal: ProbeRefusal | null, from: Side, to: Side, { database, user }: PublisherTarget): string {
  const line = (type: string) => `${type} ${database} ${user} <address of the ${from}> scram-sha-256`;
  if (refusal?.sqlstate === PASSWORD_REQUIRED) {
    return `Let the ${to} ask for the password, in pg_hba.conf: ${line('hostssl')}`;
  }
  return (
    `Register the ${to} with the advertisedHost, advertisedPort and advertisedTls by which the ${from} reaches it; ` +
    `let it in there, in pg_hba.conf: ${line('hostssl')} (or host, without TLS); then select pg_reload_conf().`
  );
}

const NO_SUCH_FILE = '/lockstep/no-root-certificate';

const AUTHENTICATED: Partial<Record<TlsSettings['mode'], string>> = {
  require: 'encrypted; the server is not authenticated, unless a root certificate is found',
  'verify-ca': "encrypted; the certificate's authority is checked",
  'verify-full': 'encrypted; authority and host name are checked',
};

/** What TLS the connection between the servers will have: the subscriber's libpq decides, not Lockstep. */
function encryption(from: Side, to: Side): Check {
  return {
    name: `${to}-connection-encryption`,
    severity: 'warning',
    sql: () => PROBE_SHOWN,
    judge: async (context) => {
      const address = publisher(context, to);
      const { mode } = address.tls;
      const expected = `the ${from} connects to the ${to} with TLS`;
      const remedy = `Turn ssl on at the ${to}, and register it with tls.mode (or advertisedTls.mode) require or higher.`;
      const authenticated = AUTHENTICATED[mode];
      if (authenticated !== undefined) return { passed: true, observed: `${mode}: ${authenticated}`, expected };
      // Asked for in so many words.
      if (mode === 'disable') return { passed: true, observed: 'disable: plain text', expected };
      // Without the root certificate by which `require` would also authenticate.
      const encrypted = { ...address, tls: { mode: 'require' as const }, rootCert: NO_SUCH_FILE };
      const refusal = await probe(context, from, encrypted);
      if (refusal === null) return { passed: true, observed: 'prefer: encrypted; nobody is authenticated', expected };
      return { passed: false, observed: 'prefer: plain text, for TLS is not to be had', expected, remedy };
    },
  };
}

export const connectionChecks: Check[] = [
  reaches('target', 'source'),
  reaches('source', 'target'),
  encryption('target', 'source'),
  encryption('source', 'target'),
];
