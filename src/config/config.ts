import { resolve } from 'node:path';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';
/** A hundred years. */
const MAX_RETENTION_DAYS = 36_500;
const LOG_LEVELS: readonly string[] = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

/** Everything the environment decides, typed and checked once at start. Injectable. */
export class Config {
  /** Address the API listens on. */
  readonly host: string;
  /** 0 lets the system choose; the log line `listening` says which. */
  readonly port: number;
  /** Lockstep's own PostgreSQL; null means embedded, under `dataDir`. */
  readonly databaseUrl: string | null;
  /** Absolute path. Holds keys, the lock, and the embedded server or a pointer to it. */
  readonly dataDir: string;
  /** First token of scope admin; null means one is made at first start. */
  readonly adminToken: string | null;
  /** 32 bytes that encrypt stored credentials; null means made once under `dataDir`. */
  readonly secretKey: Buffer | null;
  readonly logLevel: LogLevel;
  /** Stable name of this instance among those that share a state database; null means a new one at each start. */
  readonly instanceId: string | null;
  /** How long after its last heartbeat an instance counts as dead, in ms. */
  readonly instanceTimeoutMs: number;
  /** Days after which audit events are removed; 0 keeps them for ever. */
  readonly auditRetentionDays: number;
  /** Days after their end for which events and workflow records of operations and upgrades are kept; 0 means for ever. */
  readonly eventRetentionDays: number;
  /** Days after their end for which operations and verifications are kept; 0 means for ever. */
  readonly operationRetentionDays: number;
  /** How often the end of each registered server's WAL is noted, in seconds; 0: never, and lag in seconds is unknown. */
  readonly lsnSampleSeconds: number;
  /** How often the schemas of both ends of each link are compared, in seconds; 0: only when somebody asks. */
  readonly schemaDriftSeconds: number;
  /** Names of failpoints to arm; only ever set by tests. */
  readonly failpoints: string | null;

  private constructor(values: ConfigValues) {
    this.host = values.host;
    this.port = values.port;
    this.databaseUrl = values.databaseUrl;
    this.dataDir = values.dataDir;
    this.adminToken = values.adminToken;
    this.secretKey = values.secretKey;
    this.logLevel = values.logLevel;
    this.instanceId = values.instanceId;
    this.instanceTimeoutMs = values.instanceTimeoutMs;
    this.auditRetentionDays = values.auditRetentionDays;
    this.eventRetentionDays = values.eventRetentionDays;
    this.operationRetentionDays = values.operationRetentionDays;
    this.lsnSampleSeconds = values.lsnSampleSeconds;
    this.schemaDriftSeconds = values.schemaDriftSeconds;
    this.failpoints = values.failpoints;
  }

  /** Reads the environment. Throws one error that names every problem found. */
  static load(environment: NodeJS.ProcessEnv = process.env): Config {
    const problems: string[] = [];
    const text = (name: string): string | null => {
      const value = environment[name]?.trim();
      return value === undefined || value === '' ? null : value;
    };
    const integer = (name: string, fallback: number, min: number, max: number): number => {
      const value = text(name);
      if (value === null) return fallback;
      const number = /^\d+$/.test(value) ? Number(value) : NaN;
      if (number >= min && number <= max) return number;
      problems.push(`${name} must be a whole number from ${min} to ${max}`);
      return fallback;
    };

    const port = integer('PORT', 3000, 0, 65535);
    const instanceTimeoutMs = integer('LOCKSTEP_INSTANCE_TIMEOUT_MS', 15_000, 1_000, 3_600_000);
    const auditRetentionDays = integer('LOCKSTEP_AUDIT_RETENTION_DAYS', 365, 0, MAX_RETENTION_DAYS);
    const eventRetentionDays = integer('LOCKSTEP_EVENT_RETENTION_DAYS', 30, 0, MAX_RETENTION_DAYS);
    const operationRetentionDays = integer('LOCKSTEP_OPERATION_RETENTION_DAYS', 90, 0, MAX_RETENTION_DAYS);
    const lsnSampleSeconds = integer('LOCKSTEP_LSN_SAMPLE_SECONDS', 5, 0, 3600);
    const schemaDriftSeconds = integer('LOCKSTEP_SCHEMA_DRIFT_SECONDS', 300, 0, 86_400);
    const databaseUrl = text('DATABASE_URL');
    if (databaseUrl !== null && !isPostgresUrl(databaseUrl)) {
      problems.push('DATABASE_URL must look like postgresql://user:password@host:5432/database');
    }
    const adminToken = text('LOCKSTEP_ADMIN_TOKEN');
    if (adminToken !== null && adminToken.length < 16) {
      problems.push('LOCKSTEP_ADMIN_TOKEN must have at least 16 characters');
    }
    const secretKeyText = text('LOCKSTEP_SECRET_KEY');
    const secretKey = secretKeyText === null ? null : Buffer.from(secretKeyText, 'base64');
    if (secretKey !== null && (secretKey.length !== 32 || !/^[A-Za-z0-9+/=_-]+$/.test(secretKeyText ?? ''))) {
      problems.push('LOCKSTEP_SECRET_KEY must be 32 bytes in base64, for example from: openssl rand -base64 32');
    }
    const logLevel = text('LOCKSTEP_LOG_LEVEL') ?? 'info';
    if (!LOG_LEVELS.includes(logLevel)) problems.push(`LOCKSTEP_LOG_LEVEL must be one of ${LOG_LEVELS.join(', ')}`);
    const instanceId = text('LOCKSTEP_INSTANCE_ID');
    if (instanceId !== null && !/^[A-Za-z0-9_.-]{1,40}$/.test(instanceId)) {
      problems.push('LOCKSTEP_INSTANCE_ID must be 1 to 40 characters of A-Z, a-z, 0-9, _ . and -');
    }
    if (problems.length > 0) throw new Error(`the environment is not usable:\n- ${problems.join('\n- ')}`);
    return new Config({
      host: text('HOST') ?? '127.0.0.1',
      port,
      databaseUrl,
      dataDir: resolve(text('LOCKSTEP_DATA_DIR') ?? './data'),
      adminToken,
      secretKey,
      logLevel: logLevel as LogLevel,
      instanceId,
      instanceTimeoutMs,
      auditRetentionDays,
      eventRetentionDays,
      operationRetentionDays,
      lsnSampleSeconds,
      schemaDriftSeconds,
      failpoints: text('LOCKSTEP_FAILPOINTS'),
    });
  }
}

type ConfigValues = { [K in keyof Config]: Config[K] };

function isPostgresUrl(value: string): boolean {
  try {
    return ['postgres:', 'postgresql:'].includes(new URL(value).protocol);
  } catch {
    return false;
  }
}
