import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import type { DemoServer } from './demo-server.js';

/** Lockstep's own tables are not part of the data. */
const USER_TABLES = `
  select n.nspname as schema, c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence = 'p'
    and n.nspname !~ '^(pg_|lockstep)' and n.nspname <> 'information_schema' order by 1, 2`;

const SEQUENCES = `
  select schemaname || '.' || sequencename as name, last_value::text as last, increment_by > 0 as upwards, cycle
  from pg_sequences where schemaname !~ '^lockstep' order by 1`;

interface Sequence {
  name: string;
  last: string | null;
  upwards: boolean;
  cycle: boolean;
}

export interface Comparison {
  tables: number;
  rows: number;
  sequences: number;
  /** One sentence each; empty when the databases are equal. */
  differences: string[];
}

/**
 * Compares a database on both servers without Lockstep's help: every table by row count and a hash over all rows,
 * every sequence for not being behind its source. Nobody may write meanwhile; what is still on its way back from the
 * target is waited for.
 */
export async function compareDatabases(
  source: Pick<DemoServer, 'withClient'>,
  target: Pick<DemoServer, 'withClient'>,
  database: string,
  withinMs: number,
): Promise<Comparison> {
  return source.withClient(database, (before) =>
    target.withClient(database, async (after) => {
      // Values come as text: both sides have to write them alike.
      for (const client of [before, after]) await client.query(`set timezone = 'UTC'; set extra_float_digits = 3`);
      const deadline = Date.now() + withinMs;
      for (;;) {
        const comparison = await compareOnce(before, after);
        if (comparison.differences.length === 0 || Date.now() > deadline) return comparison;
        await delay(500);
      }
    }),
  );
}

async function compareOnce(source: pg.Client, target: pg.Client): Promise<Comparison> {
  const comparison: Comparison = { tables: 0, rows: 0, sequences: 0, differences: [] };
  const [before, after] = await Promise.all([contents(source), contents(target)]);
  for (const name of new Set([...before.keys(), ...after.keys()])) {
    const [was, is] = [before.get(name), after.get(name)];
    comparison.tables++;
    comparison.rows += is?.rows ?? 0;
    if (!was || !is) comparison.differences.push(`${name} is on one server only`);
    else if (was.rows !== is.rows)
      comparison.differences.push(`${name}: ${was.rows} rows on the source, ${is.rows} on the target`);
    else if (was.hash !== is.hash) comparison.differences.push(`${name}: ${is.rows} rows on both, contents differ`);
  }
  const sequences = new Map(
    (await target.query<Sequence>(SEQUENCES)).rows.map((sequence) => [sequence.name, sequence]),
  );
  for (const was of (await source.query<Sequence>(SEQUENCES)).rows) {
    const is = sequences.get(was.name);
    comparison.sequences++;
    if (!is) comparison.differences.push(`sequence ${was.name} is missing on the target`);
    else if (isBehind(is, was)) {
      comparison.differences.push(
        `sequence ${was.name}: ${is.last ?? 'unused'} on the target, ${was.last!} on the source`,
      );
    }
  }
  return comparison;
}

async function contents(client: pg.Client): Promise<Map<string, { rows: number; hash: string }>> {
  const tables = new Map<string, { rows: number; hash: string }>();
  for (const { schema, name } of (await client.query<{ schema: string; name: string }>(USER_TABLES)).rows) {
    const table = `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(name)}`;
    const { rows } = await client.query<{ rows: number; hash: string }>(
      `select count(*)::integer as rows, coalesce(sum(('x' || left(md5(t::text), 15))::bit(60)::bigint), 0)::text as hash from ${table} t`,
    );
    tables.set(table, rows[0]!);
  }
  return tables;
}

/** A cycling sequence may stand anywhere once it is used. */
function isBehind(is: Sequence, was: Sequence): boolean {
  if (was.last === null) return false;
  if (is.last === null) return true;
  if (was.cycle) return false;
  return was.upwards ? BigInt(is.last) < BigInt(was.last) : BigInt(is.last) > BigInt(was.last);
}
