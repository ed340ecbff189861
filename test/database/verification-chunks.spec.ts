import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { BindMethod } from '../../src/postgres/replication/bound-pair.js';
import type { Difference } from '../../src/verification/at-rest/difference.js';
import { KeyMoves } from '../../src/verification/at-rest/key-moves.js';
import type { LinkVerification } from '../../src/verification/at-rest/link-verification.js';
import type { TableProgress, TableRecord } from '../../src/verification/at-rest/ledger-entry.js';
import { type ChunkedVerification, verifyLink } from '../../src/verification/at-rest/verify-link.js';
import { LinkReaders } from '../../src/verification/link/link-readers.js';
import { TestServer } from '../support/postgres-fleet.js';
import { LinkFixture } from './verification/link-fixture.js';
import { MixedLoad } from './verification/mixed-load.js';
import { PLANTED, PLANTED_COUNTS } from './verification/planted.js';

const RUNS = Number(process.env.LOCKSTEP_SOAK_RUNS ?? 2);
/** Odd, so that it falls on no boundary of the data. */
const ROWS = 173;

/** Keys of every kind that decides how a table is divided. */
const KEYS = `
create type hue as enum ('red', 'green', 'blue');
create table by_hue (hue hue, n int, note text, primary key (hue, n));
create table by_code (code text collate "C" primary key, note text);
create table by_name (name text collate "en-x-icu" primary key, note text);
create table by_time (at timestamptz, day date, n smallint, note text, primary key (at, day, n));
create table by_amount (amount numeric primary key, note text);
create table moving (id int primary key, note text);`;
/** An integer keeps its place in every order, a number that may be rounded does not. */
const OTHERWISE = KEYS.replace('n smallint', 'n bigint').replace('amount numeric', 'amount numeric(12, 3)');
const FILLED = `
insert into by_hue select (array['red', 'green', 'blue'])[1 + n % 3]::hue, n, 'h' from generate_series(1, 900) n;
insert into by_code select 'c' || md5(n::text), 'c' from generate_series(1, 900) n;
insert into by_name select 'N' || md5(n::text), 'n' from generate_series(1, 900) n;
insert into by_time select '2024-01-01'::timestamptz + n * interval '1 ms', '2024-01-01'::date + n % 7, n, 't' from generate_series(1, 900) n;
insert into moving select n, 'm' from generate_series(1, 900) n;
insert into by_amount select n / 8.0, 'a' from generate_series(1, 900) n;
create publication keys_pub for table by_hue, by_code, by_name, by_time, by_amount, moving;`;

/** What one process leaves for the next, in memory. */
class Kept {
  readonly records = new Map<string, TableRecord>();
  readonly differences: Difference[] = [];
  method: BindMethod | null = null;
  binds = 0;
  moves = new KeyMoves();

  keep = (progress: readonly TableProgress[], method: BindMethod | null): Promise<void> => {
    this.binds++;
    this.method = method ?? this.method;
    for (const { record, differences, anew } of progress) {
      expect(anew).toBe(false);
      // As a state database gives it back.
      this.records.set(record.name, JSON.parse(JSON.stringify(record)) as TableRecord);
      this.differences.push(...differences);
    }
    return Promise.resolve();
  };

  get chunked(): ChunkedVerification {
    const earlier = { records: [...this.records.values()], method: this.method };
    return { mostRows: ROWS, chunkMs: 1_000, earlier, keep: this.keep };
  }
}

describe.each([
  { from: 14, to: 18, walLevel: 'logical' },
  { from: 18, to: 15, walLevel: 'logical' },
  { from: 17, to: 16, walLevel: 'replica' },
])('a verification in chunks, $from -> $to, wal_level $walLevel', ({ from, to, walLevel }) => {
  const method = walLevel === 'logical' ? 'own-slot' : 'positions';
  let subscriber: TestServer;
  let link: LinkFixture;
  let load: MixedLoad | null = null;

  beforeAll(async () => {
    subscriber =
      walLevel === 'logical' ? await TestServer.shared(to) : await TestServer.start(to, { wal_level: walLevel });
    link = await LinkFixture.create(await TestServer.shared(from), subscriber, `verification_chunks_${from}_${to}`, {
      publisher: KEYS + FILLED,
      subscriber: OTHERWISE,
      publications: ['keys_pub'],
    });
  }, 120_000);
  afterAll(async () => {
    await load?.stop();
    await link?.drop();
    await subscriber?.stop();
  });

  const verify = async (kept = new Kept(), more = {}): Promise<LinkVerification & { kept: Kept }> => ({
    ...(await link.verify({ chunked: kept.chunked, ...more })),
    kept,
  });

  it(
    `finds both sides equal under load, ${RUNS} times, each chunk at an LSN of its own`,
    async () => {
      load = MixedLoad.start(link.publisher, link.database);
      try {
        for (let run = 0; run < RUNS; run++) {
          const { kept, ...result } = await verify();
          expect(kept.differences).toEqual([]);
          const undecided = result.tables.filter(({ verdict }) => verdict !== 'equal');
          // By positions a busy table without a key may stay undecided.
          const allowed = method === 'own-slot' ? [] : ['full_keyless', 'insert_only'];
          expect(undecided.filter(({ name, verdict }) => verdict !== 'pending' || !allowed.includes(name))).toEqual([]);
          expect(result).toMatchObject({ method, atOneLsn: false });
          expect(kept.binds).toBeGreaterThan(10);
          const rows = Object.fromEntries(result.tables.map((table) => [table.name, table.rows]));
          expect(rows).toMatchObject({ by_hue: 900, by_code: 900, by_name: 900, by_time: 900, by_amount: 900 });
        }
      } finally {
        await load.stop();
        load = null;
      }
    },
    60_000 + RUNS * 20_000,
  );

  it('goes on where a process that died left it, and compares none of that again', async () => {
    const whole = await verify();
    const kept = new Kept();
    const compared: number[] = [];
    for (let life = 1; life <= 3; life++) {
      const dies = new AbortController();
      const dying = {
        ...kept.chunked,
        keep: async (progress: readonly TableProgress[], bound: BindMethod | null) => {
          await kept.keep(progress, bound);
          if (kept.binds >= life * 7) dies.abort(new Error('died'));
        },
      };
      await expect(link.verify({ chunked: dying, signal: dies.signal })).rejects.toThrow('died');
      compared.push([...kept.records.values()].reduce((sum, { rows }) => sum + (rows ?? 0), 0));
    }
    expect(compared).toEqual([...compared].sort((a, b) => a - b));
    expect(new Set(compared).size).toBe(3);
    const { binds } = kept;
    const { tables, verdict } = await verify(kept);
    expect(verdict).toBe('equal');
    expect(kept.binds).toBeLessThan(whole.kept.binds + 3);
    expect(binds).toBeGreaterThan(20);
    const rowsOf = (result: LinkVerification['tables']) => result.map(({ name, rows }) => [name, rows]).sort();
    expect(rowsOf(tables)).toEqual(rowsOf(whole.tables));
  }, 120_000);

  it.each(['', ', also after a crash'])(
    'finds a row that moves behind what is compared, and that the subscriber lacks%s',
    async (crash) => {
      const from = crash === '' ? 850 : 860;
      await link.plant(`delete from moving where id = ${from}`);
      const kept = new Kept();
      const open = () =>
        LinkReaders.open({
          ...{ readerId: `${link.database}_moves`, confirm: 'by-caller', deadlineMs: 30_000 },
          ...{ publisher: link.publisher.target(link.database), subscriber: subscriber.target(link.database) },
          subscription: link.subscription,
          onPublisherTransaction: (transaction) => kept.moves.record(transaction),
        });
      let readers = await open();
      try {
        const dies = new AbortController();
        const chunked = (): ChunkedVerification => ({
          ...kept.chunked,
          keep: async (progress, bound, position) => {
            await kept.keep(progress, bound);
            readers.confirm(position);
            if (kept.binds !== 1) return;
            await link.publisher.run(link.database, `update moving set id = -id where id = ${from}`);
            if (crash !== '') dies.abort(new Error('died'));
          },
        });
        const tables = [{ schema: 'public', name: 'moving' }];
        const run = () => verifyLink({ readers, tables, moves: kept.moves, chunked: chunked(), signal: dies.signal });
        if (crash !== '') {
          await expect(run()).rejects.toThrow('died');
          await readers.close();
          kept.moves = new KeyMoves();
          readers = await open();
        }
        const result = await verifyLink({ readers, tables, moves: kept.moves, chunked: chunked() });
        expect(result).toMatchObject({
          verdict: 'different',
          tables: [{ differences: { missing: crash === '' ? 1 : 2 } }],
        });
        expect(kept.differences).toContainEqual(
          expect.objectContaining({ kind: 'missing', key: { id: String(-from) } }),
        );
      } finally {
        await readers.drop();
      }
      await link.publisher.run(link.database, `update moving set note = 'seen' where id < 0`);
    },
    120_000,
  );

  it('finds what is planted, in whatever chunk, and lists it once', async () => {
    await link.publisher.run(link.database, `update sales.orders set note = null, total = 1.50 where id in (12, 13)`);
    await verify();
    for (const { damage } of PLANTED) await link.plant(damage);
    await link.plant(`delete from by_name where ctid = (select ctid from by_name limit 1);
      insert into by_hue values ('blue', -1, 'x'); update by_code set note = 'd' where code = (select max(code) from by_code);
      insert into by_time values ('2030-01-01', '2030-01-01', 1, 'x'); update by_amount set amount = 0.126 where amount = 0.125`);
    const { kept, ...result } = await verify();
    expect(result.verdict).toBe('different');
    for (const { table, found } of PLANTED) {
      expect(kept.differences).toContainEqual(expect.objectContaining({ schema: 'sales', table, ...found }));
    }
    const counts = Object.fromEntries(result.tables.map(({ name, differences }) => [name, differences]));
    expect(counts).toEqual({
      ...PLANTED_COUNTS,
      by_hue: { missing: 0, extra: 1, different: 0 },
      by_code: { missing: 0, extra: 0, different: 1 },
      by_name: { missing: 1, extra: 0, different: 0 },
      by_time: { missing: 0, extra: 1, different: 0 },
      by_amount: { missing: 1, extra: 1, different: 0 },
      moving: { missing: 2, extra: 0, different: 0 },
    });
    expect(kept.differences).toHaveLength(
      Object.values(counts).reduce((sum, { missing, extra, different }) => sum + missing + extra + different, 0),
    );
  }, 120_000);
});
