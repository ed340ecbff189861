import { Problem } from '../../problems/problem.js';
import { OLDEST_SUPPORTED, majorOf } from '../../shared/server-version.js';
import {
  ALL_PATRONI_SETTINGS,
  type DatabaseRow,
  type LoginRow,
  PROVIDER_SIGNS,
  type ProviderSignsRow,
  SERVER_IDENTITY,
  SERVER_SETTINGS,
  SERVER_USAGE,
  serverDatabases,
  SYSTEM_IDENTIFIER,
  type ServerIdentityRow,
  serverLogin,
  type SettingRow,
  settingNames,
  type UsageRow,
} from './server-facts.sql.js';
import type { Session } from '../session.js';

export type Provider =
  | 'aws-aurora'
  | 'aws-rds'
  | 'google-alloydb'
  | 'google-cloud-sql'
  | 'azure-flexible-server'
  | 'cloudnative-pg'
  | 'patroni';

interface ServerSetting {
  value: string;
  unit: string | null;
  /** Changed in the configuration, in effect only after a restart. */
  pendingRestart: boolean;
}

interface Headroom {
  max: number;
  used: number;
  free: number;
}

/** What one look at a server shows. Plain JSON. */
export interface ServerFacts {
  /** As people write it, e.g. `14.23`. */
  version: string;
  versionNum: number;
  /** Same for all servers that replicate physically from each other; 64 bits, so text. */
  systemIdentifier: string;
  /** Null where a standby cannot tell. */
  timeline: number | null;
  inRecovery: boolean;
  walLevel: string;
  /** With microseconds; two servers that share it and the system identifier are one. */
  postmasterStartedAt: string;
  /** Null: no sure sign of one. */
  provider: Provider | null;
  settings: Record<string, ServerSetting>;
  headroom: Record<
    'replicationSlots' | 'walSenders' | 'logicalWorkers' | 'connections' | 'preparedTransactions',
    Headroom
  >;
  login: ServerLogin;
}

export interface ServerLogin {
  name: string;
  superuser: boolean;
  /** By attribute, or by membership where a provider does it so. */
  replication: boolean;
  createRole: boolean;
  createDatabase: boolean;
  monitor: boolean;
  signalBackend: boolean;
  advanceOrigin: boolean;
  /** Null where the version has no such role. */
  readAllData: boolean | null;
  createSubscription: boolean | null;
}

export interface DatabaseFacts {
  name: string;
  owner: string;
  encoding: string;
  collate: string;
  ctype: string;
  localeProvider: 'libc' | 'icu' | 'builtin';
  allowsConnections: boolean;
  isTemplate: boolean;
  /** Null: no limit. */
  connectionLimit: number | null;
  /** Null where the login may not ask. */
  sizeBytes: number | null;
}

/** Throws SERVER_VERSION_UNSUPPORTED for servers Lockstep does not know. */
function requireSupportedVersion(versionNum: number, where: string): void {
  if (versionNum >= OLDEST_SUPPORTED) return;
  throw new Problem('SERVER_VERSION_UNSUPPORTED', `${where} runs PostgreSQL ${majorOf(versionNum)}`, {
    hint: `Lockstep manages PostgreSQL ${majorOf(OLDEST_SUPPORTED)} and newer.`,
  });
}

export async function readServerFacts(session: Session): Promise<ServerFacts> {
  const { versionNum } = session;
  requireSupportedVersion(versionNum, session.where);
  const identity = await session.row<ServerIdentityRow>(SERVER_IDENTITY);
  const settings = await session.rows<SettingRow>(SERVER_SETTINGS, [settingNames(versionNum)]);
  const usage = await session.row<UsageRow>(SERVER_USAGE);
  const login = await session.row<LoginRow>(serverLogin(versionNum));
  const signs = await session.row<ProviderSignsRow>(PROVIDER_SIGNS);
  const byName = new Map(settings.map((row) => [row.name, row]));
  const headroom = (setting: string, used: number): Headroom => {
    const max = Number(byName.get(setting)!.setting);
    return { max, used, free: Math.max(0, max - used) };
  };
  return {
    version: identity.version.split(' ')[0]!,
    versionNum,
    systemIdentifier: identity.system_identifier,
    timeline: identity.timeline,
    inRecovery: identity.in_recovery,
    walLevel: byName.get('wal_level')!.setting,
    postmasterStartedAt: identity.postmaster_started_at,
    provider: providerOf(signs),
    settings: Object.fromEntries(
      settings.map((row) => [row.name, { value: row.setting, unit: row.unit, pendingRestart: row.pending_restart }]),
    ),
    headroom: {
      replicationSlots: headroom('max_replication_slots', usage.replication_slots),
      walSenders: headroom('max_wal_senders', usage.wal_senders),
      logicalWorkers: headroom('max_logical_replication_workers', usage.logical_workers),
      connections: headroom('max_connections', usage.connections),
      preparedTransactions: headroom('max_prepared_transactions', usage.prepared_transactions),
    },
    login: {
      name: login.login,
      superuser: login.superuser,
      replication: login.replication || login.rds_replication,
      createRole: login.create_role,
      createDatabase: login.create_database,
      monitor: login.monitor,
      signalBackend: login.signal_backend,
      advanceOrigin: login.advance_origin,
      readAllData: login.read_all_data,
      createSubscription: login.create_subscription,
    },
  };
}

/** Named only on signs that nobody else leaves; guessing wrong would have Lockstep drive the wrong interface. */
export function providerOf(signs: ProviderSignsRow): Provider | null {
  const has = (prefix: string): boolean => signs.prefixes.includes(prefix);
  if (signs.aurora) return 'aws-aurora';
  if (has('rds')) return 'aws-rds';
  if (has('alloydb')) return 'google-alloydb';
  if (has('cloudsql')) return 'google-cloud-sql';
  if (has('azure')) return 'azure-flexible-server';
  if (has('cnpg')) return 'cloudnative-pg';
  return signs.patroni_settings === ALL_PATRONI_SETTINGS ? 'patroni' : null;
}

export async function readDatabases(session: Session): Promise<DatabaseFacts[]> {
  const rows = await session.rows<DatabaseRow>(serverDatabases(session.versionNum));
  return rows.map((row) => ({
    name: row.name,
    owner: row.owner,
    encoding: row.encoding,
    collate: row.collate,
    ctype: row.ctype,
    localeProvider: row.locale_provider,
    allowsConnections: row.allows_connections,
    isTemplate: row.is_template,
    connectionLimit: row.connection_limit < 0 ? null : row.connection_limit,
    sizeBytes: row.size_bytes === null ? null : Number(row.size_bytes),
  }));
}

/** Of the cluster that answers now, whatever was found at that address before. */
export async function readSystemIdentifier(session: Session): Promise<string> {
  return (await session.row<{ identifier: string }>(SYSTEM_IDENTIFIER)).identifier;
}
