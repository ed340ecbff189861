import type { Verdict } from './check.js';

export function agrees(reason: string): Verdict {
  return { state: 'agrees', reason, remedy: null, sql: null };
}

export function disagrees(reason: string, remedy: string, sql: string | null = null): Verdict {
  return { state: 'disagrees', reason, remedy, sql };
}

export function unknown(reason: string, remedy: string | null = null, sql: string | null = null): Verdict {
  return { state: 'unknown', reason, remedy, sql };
}
