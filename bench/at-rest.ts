import { availableParallelism } from 'node:os';
import { withSession, type Session } from '../src/postgres/session.js';
import { tableTotal } from '../src/verification/at-rest/table-hash.js';
import type { TableShape } from '../src/verification/at-rest/table-shape.js';
import { DEFAULT_PACING } from '../src/verification/at-rest/pacing.js';
import { type ChunkedVerification, currentTables, verifyLink } from '../src/verification/at-rest/verify-link.js';
import { BenchLink } from './bench-link.js';
import { compareData, unusable } from './pgcopydb.js';
import { median, printTable, seconds } from './report.js';
import { type BenchTable, type ShapeName, SHAPES } from './shapes.js';

/** One row each that is different, missing and extra on the subscriber. */
const PLANT = `
update public.wide set total = total + 0.01 where id = 1000;
delete from public.wide where id = 2000;
insert into public.wide select -1, customer, reference, state, total, placed_at, weight, paid, note, attributes
  from public.wide where id = 3000`;
export interface AtRestOptions {
  rows: number;
  rounds: number;
  from: number;
  to: number;
  shape: ShapeName;
}

/**
 * Verification at rest of one table, at one LSN and in chunks, without differences and (of the wide one) with three, as
 * a ratio to what no comparison can be faster than: the sum of the rows' hashes on both servers at once.
 */
export async function benchAtRest({ rows, rounds, from, to, shape: name }: AtRestOptions): Promise<void> {
  const table: BenchTable = SHAPES[name];
  const link = await BenchLink.create(from, to, { definition: table.definition, rows: table.rows(rows) });
  try {
    const [shape] = (await currentTables(link.readers.ends, 'bench_sub')).comparable;
    const peer = await unusable();
    const times: Record<string, number[]> = {};
    for (let round = 0; round <= rounds; round++) {
      const measured = {
        limit: await seconds(() => limit(link, shape!)),
        equal: await seconds(() => verify(link, 'equal')),
        chunked: await seconds(() => verify(link, 'equal', 0, inChunks())),
        ...(peer === null ? { peer: await seconds(() => compareData(link.publisher, link.subscriber)) } : {}),
        ...(name === 'wide' ? { located: await located(link, rows) } : {}),
      };
      // The first round fills the caches.
      if (round > 0) for (const [what, time] of Object.entries(measured)) (times[what] ??= []).push(time);
    }
    const ratio = (what: string) => median(times[what]!.map((time, round) => time / times.limit![round]!));
    const row = (what: string, key: string, bar: string) => [
      ...[what, median(times[key]!).toFixed(2), `${ratio(key).toFixed(2)}x`, bar],
    ];
    console.log(
      `\nat rest, ${name}: ${rows} rows of ${shape!.columns.length} columns, ${Math.round(shape!.bytes / 2 ** 20)} MB, ` +
        `${from} -> ${to}, ${availableParallelism()} cores, medians of ${rounds} rounds\n`,
    );
    printTable([
      ['', 'seconds', 'of the limit', 'bar'],
      row('the limit: both servers add up their hashes', 'limit', ''),
      row('verification at one LSN, equal', 'equal', 'at most 1.25x'),
      row('verification in chunks, equal', 'chunked', 'at most 1.25x'),
      ...(times.located ? [row('verification, 3 differences located', 'located', '')] : []),
      peer === null
        ? row('pgcopydb compare data, equal', 'peer', `${(ratio('peer') / ratio('chunked')).toFixed(2)}x ours (1.5x)`)
        : ['pgcopydb compare data', '-', '-', peer],
    ]);
    const ratios = Object.fromEntries(Object.keys(times).map((what) => [what, Number(ratio(what).toFixed(3))]));
    console.log(JSON.stringify({ bench: 'verify', shape: name, rows, from, to, rounds, ratios }));
  } finally {
    await link.close();
  }
}

/** As they are asked for by default, with nowhere to keep what they find. */
function inChunks(): ChunkedVerification {
  const { mostRows, chunkSeconds } = DEFAULT_PACING;
  return {
    ...{ mostRows, chunkMs: chunkSeconds * 1000, earlier: { records: [], method: null } },
    keep: () => Promise.resolve(),
  };
}

/** The two sums alone, in sessions opened before, as the servers are set but for compiling (which only costs). */
async function limit(link: BenchLink, shape: TableShape): Promise<void> {
  const open = { statementTimeoutMs: 0, settings: { jit: 'off' } };
  await withSession(link.publisher, open, (publisher) =>
    withSession(link.subscriber, open, async (subscriber) => {
      await Promise.all([tableTotal(publisher, shape, 'publisher'), tableTotal(subscriber, shape, 'subscriber')]);
    }),
  );
}

async function verify(link: BenchLink, verdict: string, differences = 0, chunked?: ChunkedVerification): Promise<void> {
  const result = await verifyLink({ readers: link.readers, tables: null, ...(chunked ? { chunked } : {}) });
  const found = `${result.verdict} with ${result.differences.length} differences`;
  if (found !== `${verdict} with ${differences} differences`) throw new Error(`the verification found ${found}`);
}

async function located(link: BenchLink, rows: number): Promise<number> {
  if (rows < 3000) throw new RangeError('at least 3000 rows are needed');
  const row = await withSession(link.subscriber, {}, (session) => plant(session));
  const time = await seconds(() => verify(link, 'different', 3));
  await withSession(link.subscriber, {}, (session) => unplant(session, row));
  return time;
}

async function plant(session: Session): Promise<string> {
  const { row } = await session.row<{ row: string }>(`select t::text as row from public.wide t where id = 2000`);
  await session.execute(PLANT);
  return row;
}

async function unplant(session: Session, row: string): Promise<void> {
  await session.rows(`insert into public.wide select ($1::public.wide).*`, [row]);
  await session.execute(
    `update public.wide set total = total - 0.01 where id = 1000; delete from public.wide where id = -1`,
  );
}
