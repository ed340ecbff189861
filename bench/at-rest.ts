import { availableParallelism } from 'node:os';
import { withSession, type Session } from '../src/postgres/session.js';
import { tableTotal } from '../src/verification/at-rest/table-hash.js';
import type { TableShape } from '../src/verification/at-rest/table-shape.js';
import { currentTables, verifyLink } from '../src/verification/at-rest/verify-link.js';
import { BenchLink } from './bench-link.js';
import { compareData, unusable } from './pgcopydb.js';
import { median, printTable, seconds } from './report.js';

const DEFINITION = `
create table public.wide (
  id bigint primary key, customer integer not null, reference uuid not null, state text not null, total numeric(12, 2),
  placed_at timestamptz not null, weight double precision, paid boolean, note text, attributes jsonb)`;

function rowsSql(count: number): string {
  return `
insert into public.wide
select i, i % 10000, md5(i::text)::uuid, (array['new', 'paid', 'sent'])[i % 3 + 1], i / 7.0,
       '2024-01-01'::timestamptz + i * interval '1.001 second', i / 3.0, i % 2 = 0, repeat(md5(i::text), 3),
       jsonb_build_object('n', i, 'tag', md5((i % 1000)::text))
  from generate_series(1, ${count}) i`;
}

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
}

/**
 * Verification at rest of one table without and with three differences, as a ratio to what no comparison can be
 * faster than: the sum of the rows' hashes on both servers at once.
 */
export async function benchAtRest({ rows, rounds, from, to }: AtRestOptions): Promise<void> {
  const link = await BenchLink.create(from, to, { definition: DEFINITION, rows: rowsSql(rows) });
  try {
    const [shape] = (await currentTables(link.readers.ends, 'bench_sub')).comparable;
    const peer = await unusable();
    const times = { limit: [], equal: [], located: [], peer: [] } as Record<string, number[]>;
    for (let round = 0; round <= rounds; round++) {
      const measured = {
        limit: await seconds(() => limit(link, shape!)),
        equal: await seconds(() => verify(link, 'equal')),
        ...(peer === null ? { peer: await seconds(() => compareData(link.publisher, link.subscriber)) } : {}),
        located: await located(link, rows),
      };
      // The first round fills the caches.
      if (round > 0) for (const [name, time] of Object.entries(measured)) times[name]!.push(time);
    }
    const ratio = (name: string) => median(times[name]!.map((time, round) => time / times.limit![round]!));
    const row = (what: string, name: string, bar: string) => [
      ...[what, median(times[name]!).toFixed(2), `${ratio(name).toFixed(2)}x`, bar],
    ];
    console.log(
      `\nat rest: ${rows} rows of ${shape!.columns.length} columns, ${Math.round(shape!.bytes / 2 ** 20)} MB, ` +
        `${from} -> ${to}, ${availableParallelism()} cores, medians of ${rounds} rounds\n`,
    );
    printTable([
      ['', 'seconds', 'of the limit', 'bar'],
      row('the limit: both servers add up their hashes', 'limit', ''),
      row('verification, equal', 'equal', 'at most 1.25x'),
      row('verification, 3 differences located', 'located', ''),
      peer === null
        ? row('pgcopydb compare data, equal', 'peer', `${(ratio('peer') / ratio('equal')).toFixed(2)}x ours (1.5x)`)
        : ['pgcopydb compare data', '-', '-', peer],
    ]);
  } finally {
    await link.close();
  }
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

async function verify(link: BenchLink, verdict: string, differences = 0): Promise<void> {
  const result = await verifyLink({ readers: link.readers, tables: null });
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
