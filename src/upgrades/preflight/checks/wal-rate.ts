import { setTimeout as delay } from 'node:timers/promises';
import {
  MAY_LIST_WAL,
  WAL_ON_DISK,
  WAL_POSITION,
  type WalPosition,
} from '../../../postgres/catalog/preflight-activity.sql.js';
import { SETTINGS } from '../../../postgres/catalog/preflight-server.sql.js';
import type { Session } from '../../../postgres/session.js';
import { parseLsn } from '../../../shared/lsn.js';
import type { Check } from '../check.js';

const SAMPLE_MS = 1000;
/** A target that restarts, or a copy of one large table, takes longer than this to be seen to by somebody. */
const LEAST_STANDSTILL_SECONDS = 3600;
const MIB = 1024 * 1024;

/** Bytes of WAL per second, between two looks; a sample of what happened to be written then. */
async function walRate(session: Session): Promise<{ bytesPerSecond: number; seconds: number }> {
  const first = await session.row<WalPosition>(WAL_POSITION);
  await delay(SAMPLE_MS);
  const second = await session.row<WalPosition>(WAL_POSITION);
  const seconds = second.at - first.at;
  return { bytesPerSecond: Number(parseLsn(second.lsn) - parseLsn(first.lsn)) / seconds, seconds };
}

async function walOnDisk(session: Session): Promise<string> {
  const { allowed } = await session.row<{ allowed: boolean }>(MAY_LIST_WAL);
  if (!allowed) return 'how much WAL is on its disk now may not be asked (pg_monitor)';
  const { bytes } = await session.row<{ bytes: string }>(WAL_ON_DISK);
  return `${mib(Number(bytes))} of WAL on its disk now`;
}

function mib(bytes: number): string {
  return bytes < MIB ? `${Math.round(bytes / 1024)} kB` : `${Math.round(bytes / MIB)} MB`;
}

function duration(seconds: number): string {
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}

export const walRateChecks: Check[] = [
  {
    name: 'source-wal-rate',
    severity: 'warning',
    sql: () => WAL_POSITION,
    judge: async ({ source }) => {
      const { bytesPerSecond, seconds } = await walRate(source);
      const [limit] = await source.rows<{ setting: string }>(SETTINGS, [['max_slot_wal_keep_size']]);
      const limitBytes = Number(limit!.setting) * MIB;
      const sample = `${mib(bytesPerSecond)}/s of WAL in a sample of ${seconds.toFixed(1)} s; ${await walOnDisk(source)}`;
      if (limitBytes < 0) {
        const perHour =
          bytesPerSecond === 0 ? '' : `: ${mib(bytesPerSecond * 3600)} for each hour that a slot stands still`;
        return {
          passed: true,
          severity: 'info',
          observed: `${sample}; max_slot_wal_keep_size is unlimited, so no slot is lost, and its disk has to hold what they keep${perHour} (free space cannot be asked in SQL)`,
          expected: 'free space for the WAL of the time that a slot may stand still',
        };
      }
      const kept = `max_slot_wal_keep_size keeps ${mib(limitBytes)}`;
      const expected = `a slot may stand still for ${duration(LEAST_STANDSTILL_SECONDS)} before its WAL is removed and it is lost`;
      const remedy =
        'Measure again at the busiest hour. alter system set max_slot_wal_keep_size to what the disk can hold, or -1, for the time of the upgrade.';
      if (bytesPerSecond === 0) {
        return {
          passed: false,
          observed: `${sample}; ${kept}: for how long cannot be told from a moment without writes`,
          expected,
          remedy,
        };
      }
      const standstill = limitBytes / bytesPerSecond;
      return {
        passed: standstill >= LEAST_STANDSTILL_SECONDS,
        observed: `${sample}; ${kept}: at this rate a slot that stands still is lost after about ${duration(standstill)}`,
        expected,
        remedy,
      };
    },
  },
];
