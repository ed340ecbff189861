import { describe, expect, it } from '@jest/globals';
import { Config } from './config.js';

describe('Config', () => {
  it('has defaults that work on a bare machine', () => {
    const config = Config.load({});
    expect(config).toMatchObject({ host: '127.0.0.1', port: 3000, databaseUrl: null, adminToken: null });
    expect(config).toMatchObject({ auditRetentionDays: 365, eventRetentionDays: 30, operationRetentionDays: 90 });
    expect(config.dataDir.endsWith('/data')).toBe(true);
  });

  it('names every problem at once', () => {
    const load = () =>
      Config.load({
        PORT: '99999',
        DATABASE_URL: 'mysql://x',
        LOCKSTEP_ADMIN_TOKEN: 'short',
        LOCKSTEP_SECRET_KEY: 'c2hvcnQ=',
        LOCKSTEP_LOG_LEVEL: 'loud',
        LOCKSTEP_AUDIT_RETENTION_DAYS: '-1',
        LOCKSTEP_EVENT_RETENTION_DAYS: '1.5',
        LOCKSTEP_LSN_SAMPLE_SECONDS: '3601',
        LOCKSTEP_OPERATION_RETENTION_DAYS: '36501',
      });
    for (const name of [
      'PORT',
      'DATABASE_URL',
      'LOCKSTEP_ADMIN_TOKEN',
      'LOCKSTEP_SECRET_KEY',
      'LOCKSTEP_LOG_LEVEL',
      'LOCKSTEP_AUDIT_RETENTION_DAYS',
      'LOCKSTEP_EVENT_RETENTION_DAYS',
      'LOCKSTEP_LSN_SAMPLE_SECONDS',
      'LOCKSTEP_OPERATION_RETENTION_DAYS',
    ]) {
      expect(load).toThrow(new RegExp(name));
    }
    expect(load).not.toThrow(/c2hvcnQ=|short$/);
  });

  it('reads a 32-byte key', () => {
    const key = Buffer.alloc(32, 7);
    expect(Config.load({ LOCKSTEP_SECRET_KEY: key.toString('base64') }).secretKey).toEqual(key);
  });
});
