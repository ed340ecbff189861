import { describe, expect, it } from '@jest/globals';
import type { SubscribedTable } from '../postgres/catalog/subscriptions.js';
import { PG13, PG18 } from '../shared/server-version.js';
import { copyProgressOf, type KnownSizes, knownSizes, overallProgress } from './copy-progress.js';

const table = (
  name: string,
  state: SubscribedTable['state'],
  copyProgress: SubscribedTable['copyProgress'] = null,
): SubscribedTable => ({ schema: 'public', name, state, lsn: null, copyProgress });
const size = (name: string, bytes: number, rows: number | null, filtered = false) => ({
  ...{ schema: 'public', name, bytes, rows, filtered },
});
const sizes = (...known: ReturnType<typeof size>[]): KnownSizes => knownSizes(known);
const QUARTER = { rows: 250, bytes: 5000, seconds: 10 };

describe('copyProgressOf', () => {
  it('is by rows, at the pace so far', () => {
    expect(copyProgressOf(table('t', 'copying', QUARTER), sizes(size('t', 80_000, 1000)), PG18)).toEqual({
      ...{ rows: 250, bytes: 5000, totalRows: 1000, totalBytes: 80_000, percent: 25, etaSeconds: 30, reason: null },
    });
  });

  it('is null with the reason for whatever is not known, never 0', () => {
    const known = sizes(size('t', 80_000, null));
    const unanalyzed = copyProgressOf(table('t', 'copying', QUARTER), known, PG18);
    expect(unanalyzed).toMatchObject({ totalRows: null, percent: null, etaSeconds: null });
    expect(unanalyzed!.reason).toContain('never analyzed');
    const old = copyProgressOf(table('t', 'copying'), sizes(size('t', 80_000, 1000)), PG13);
    expect(old).toMatchObject({ rows: null, bytes: null, totalRows: 1000, percent: null });
    expect(old!.reason).toContain('PostgreSQL 13');
    const away = copyProgressOf(table('t', 'copying', QUARTER), { unknown: 'the publisher is away' }, PG18);
    expect(away).toMatchObject({ rows: 250, totalBytes: null, reason: expect.stringContaining('is away') });
    const filtered = copyProgressOf(table('t', 'copying', QUARTER), sizes(size('t', 1, 1000, true)), PG18);
    expect(filtered).toMatchObject({ percent: null, reason: expect.stringContaining('row filter') });
    const grown = copyProgressOf(table('t', 'copying', QUARTER), sizes(size('t', 1, 100)), PG18);
    expect(grown).toMatchObject({ percent: null, etaSeconds: null, reason: expect.stringContaining('more rows') });
  });

  it('is none of a table that is not being copied', () => {
    expect(copyProgressOf(table('t', 'ready'), sizes(), PG18)).toBeNull();
  });
});

describe('overallProgress', () => {
  it('weighs tables by their bytes', () => {
    const tables = [table('a', 'ready'), table('b', 'copying', QUARTER), table('c', 'initializing')];
    const known = sizes(size('a', 100, 1), size('b', 400, 1000), size('c', 500, 1));
    expect(overallProgress(tables, known, PG18)).toEqual({
      ...{ tables: 3, tablesCopied: 1, totalBytes: 1000, percent: 20, etaSeconds: 80, reason: null },
    });
  });

  it('is not known while one of the copies is not', () => {
    const tables = [table('a', 'copying'), table('b', 'copying', QUARTER)];
    const known = sizes(size('a', 100, 1), size('b', 400, 1000));
    expect(overallProgress(tables, known, PG18)).toMatchObject({
      ...{ totalBytes: 500, percent: null, etaSeconds: null, reason: expect.stringContaining('public.a') },
    });
  });

  it('is none once all are copied', () => {
    expect(overallProgress([table('a', 'ready'), table('b', 'copied')], sizes(), PG18)).toBeNull();
  });
});
