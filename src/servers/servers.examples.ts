import type { ServerFacts } from '../postgres/catalog/server-facts.js';
import { Problem } from '../problems/problem.js';
import { missingPrivileges } from './missing-privileges.js';
import type { DatabaseDto, ServerDto } from './server.dto.js';
import { serverWarnings } from './server-warnings.js';
import type { ChangeServerDto, RegisterServerDto } from './servers.dto.js';

export const REGISTER_SERVER: Omit<RegisterServerDto, 'database'> = {
  name: 'orders-14',
  host: '127.0.0.1',
  port: 5414,
  user: 'postgres',
  password: 'secret',
  tls: { mode: 'prefer' },
};

export const CHANGE_SERVER = { walBudgetBytes: 50_000_000_000 } satisfies ChangeServerDto;

const SUPERUSER: ServerFacts['login'] = {
  ...{ name: 'postgres', superuser: true, replication: true, createRole: true, createDatabase: true, monitor: true },
  ...{ signalBackend: true, advanceOrigin: true, readAllData: true, createSubscription: null },
};

/** Of the settings a few; the service answers with all that matter to replication. */
const ORDERS_14: ServerFacts = {
  ...{ version: '14.23', versionNum: 140_023, systemIdentifier: '7397412349874390123', timeline: 1, inRecovery: false },
  ...{ walLevel: 'logical', postmasterStartedAt: '2026-06-28 04:10:02.118394+00', provider: null },
  settings: {
    max_replication_slots: { value: '10', unit: null, pendingRestart: false },
    max_slot_wal_keep_size: { value: '-1', unit: 'MB', pendingRestart: false },
    wal_level: { value: 'logical', unit: null, pendingRestart: false },
  },
  headroom: {
    replicationSlots: { max: 10, used: 3, free: 7 },
    walSenders: { max: 10, used: 2, free: 8 },
    logicalWorkers: { max: 4, used: 0, free: 4 },
    connections: { max: 100, used: 23, free: 77 },
    preparedTransactions: { max: 0, used: 0, free: 0 },
  },
  login: SUPERUSER,
};

/** With a login of its own, as docs/privileges grants it. */
const ORDERS_18: ServerFacts = {
  ...{ ...ORDERS_14, version: '18.6', versionNum: 180_006, systemIdentifier: '7512034418820456711' },
  ...{ postmasterStartedAt: '2026-06-30 21:44:57.902113+00' },
  settings: {
    idle_replication_slot_timeout: { value: '0', unit: 's', pendingRestart: false },
    max_replication_slots: { value: '10', unit: null, pendingRestart: true },
    wal_level: { value: 'logical', unit: null, pendingRestart: false },
  },
  login: { ...SUPERUSER, name: 'lockstep', superuser: false, monitor: false, createSubscription: true },
};

export const SERVER: ServerDto = {
  ...{ name: REGISTER_SERVER.name, host: REGISTER_SERVER.host, port: REGISTER_SERVER.port, user: 'postgres' },
  ...{ database: 'postgres', tls: { mode: 'prefer' }, advertisedHost: null, advertisedPort: null },
  ...{ advertisedTls: null, walBudgetBytes: null },
  ...{ reachable: true, checkedAt: '2026-07-01T12:00:00.214Z', problem: null, factsAt: '2026-07-01T12:00:00.214Z' },
  ...shown(REGISTER_SERVER.name, ORDERS_14),
  ...{ createdAt: '2026-07-01T12:00:00.231Z', updatedAt: '2026-07-01T12:00:00.231Z' },
};

export const CHANGED_SERVER: ServerDto = {
  ...{ ...SERVER, ...CHANGE_SERVER, checkedAt: '2026-07-01T12:30:00.087Z', factsAt: '2026-07-01T12:30:00.087Z' },
  updatedAt: '2026-07-01T12:30:00.102Z',
};

/** Away since: what is told of it is of the last look that succeeded. */
export const UNREACHABLE_SERVER: ServerDto = {
  ...{ ...SERVER, name: 'orders-18', host: '10.0.0.18', port: 5432, user: 'lockstep', tls: { mode: 'verify-full' } },
  ...{ advertisedHost: 'db-18.example.org', advertisedPort: 6432 },
  advertisedTls: { rootCert: '/etc/ssl/company-ca.pem' },
  ...{ reachable: false, checkedAt: '2026-07-01T12:20:00.009Z' },
  problem: new Problem('SERVER_UNREACHABLE', 'orders-18 refused the connection', {
    hint: 'Start the server, or correct its host and port.',
  }).toDocument(),
  ...shown('orders-18', ORDERS_18),
};

const DATABASE: DatabaseDto = {
  ...{ name: 'orders', owner: 'app', encoding: 'UTF8', collate: 'C.UTF-8', ctype: 'C.UTF-8', localeProvider: 'libc' },
  ...{ allowsConnections: true, isTemplate: false, connectionLimit: null, sizeBytes: 158_334_976 },
};

export const DATABASES: DatabaseDto[] = [
  DATABASE,
  {
    ...DATABASE,
    name: 'template0',
    owner: 'postgres',
    allowsConnections: false,
    isTemplate: true,
    sizeBytes: 8_758_051,
  },
];

function shown(name: string, facts: ServerFacts) {
  const { login, postmasterStartedAt: _kept, ...rest } = facts;
  return {
    ...rest,
    superuser: login.superuser,
    missingPrivileges: missingPrivileges(login, facts.versionNum),
    warnings: serverWarnings(name, facts, []),
  };
}
