import { SERVER_FACTS, type ServerFacts } from '../../../postgres/catalog/preflight-server.sql.js';
import { OUTPUT_PLUGINS } from '../../../postgres/catalog/preflight-replication.sql.js';
import type { Check, Side } from '../check.js';

function writable(side: Side): Check {
  return {
    name: `${side}-writable`,
    severity: 'blocker',
    sql: () => 'select pg_catalog.pg_is_in_recovery()',
    judge: async (context) => {
      const { inRecovery } = await context[side].row<ServerFacts>(SERVER_FACTS);
      return {
        passed: !inRecovery,
        observed: inRecovery ? 'a standby, in recovery' : 'a primary',
        expected: 'a primary',
        remedy: 'Register the primary of this cluster and name it here.',
      };
    },
  };
}

function walLevel(side: Side, why: string): Check {
  return {
    name: `${side}-wal-level`,
    severity: 'blocker',
    sql: () => `select pg_catalog.current_setting('wal_level')`,
    judge: async (context) => {
      const { walLevel: observed } = await context[side].row<ServerFacts>(SERVER_FACTS);
      // 19 reports an effective level and switches decoding on with the first slot.
      const enough = observed === 'logical' || (context[side].major >= 19 && observed === 'replica');
      return {
        passed: enough,
        observed,
        expected: `logical: ${why}`,
        remedy: `alter system set wal_level = 'logical'; then restart the server.`,
      };
    },
  };
}

/** A server that loads only listed output plugins has to list pgoutput. */
function outputPlugin(side: Side): Check {
  return {
    name: `${side}-output-plugin`,
    severity: 'blocker',
    sql: () => OUTPUT_PLUGINS,
    judge: async (context) => {
      const { libraries } = await context[side].row<{ libraries: string | null }>(OUTPUT_PLUGINS);
      const listed = libraries === null || libraries.split(',').some((name) => ['pgoutput', '*'].includes(name.trim()));
      return {
        passed: listed,
        observed: libraries ?? 'not restricted',
        expected: 'pgoutput may be loaded',
        remedy: 'Add pgoutput to output_plugin_libraries and reload.',
      };
    },
  };
}

export const LOOPBACK = /^(localhost|127\.|::1$|\/)/;

/** Only CREATE SUBSCRIPTION proves the way; an address that means another machine there is caught here. */
function address(from: Side, to: Side): Check {
  return {
    name: `${to}-address`,
    severity: 'blocker',
    sql: () => 'select pg_catalog.inet_server_addr()',
    judge: async ({ options, ...sessions }) => {
      const [reached, other] =
        to === 'source'
          ? [options.sourceAddress, options.targetAddress]
          : [options.targetAddress, options.sourceAddress];
      const { host, port } = reached!;
      const { server } = await sessions[to].row<{ server: string | null }>(
        'select pg_catalog.inet_server_addr()::text as server',
      );
      const lost = host.startsWith('/') || (LOOPBACK.test(host) && !LOOPBACK.test(other!.host));
      return {
        passed: !lost,
        observed: `${host}:${port}${server === null ? '' : `, which is ${server}`}`,
        expected: `an address that the ${from} can reach too`,
        remedy: `Register the server with advertisedHost and advertisedPort, as the ${from} reaches it.`,
      };
    },
  };
}

export const serverChecks: Check[] = [
  {
    name: 'two-servers',
    severity: 'blocker',
    sql: () => SERVER_FACTS,
    judge: async ({ source, target }) => {
      const [from, to] = [await source.row<ServerFacts>(SERVER_FACTS), await target.row<ServerFacts>(SERVER_FACTS)];
      const same = from.systemIdentifier === to.systemIdentifier && from.startedAt === to.startedAt;
      return {
        passed: !same,
        observed: same ? 'source and target are one server' : `${from.systemIdentifier} and ${to.systemIdentifier}`,
        expected: 'two servers: roles are shared within one, so the fence would close both sides',
        remedy: 'Choose a target on another server.',
      };
    },
  },
  writable('source'),
  writable('target'),
  walLevel('source', 'the change stream is decoded from it'),
  walLevel('target', 'the way back and exact verification decode it'),
  outputPlugin('source'),
  outputPlugin('target'),
  address('target', 'source'),
  address('source', 'target'),
];
