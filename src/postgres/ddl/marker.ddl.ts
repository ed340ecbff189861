import { identifier, literal } from '../quoting.js';
import { statement, type Statement } from './statement.js';

/**
 * The table whose rows mark a position in the stream that the subscriber must have reached. One per upgrade, on both
 * sides, published in both directions.
 */
export function createMarkerTable(schema: string, table: string): Statement[] {
  return [
    statement(`create schema if not exists ${identifier(schema)}`, 'none'),
    statement(
      `create table if not exists ${identifier(schema, table)} (id text primary key, at timestamptz not null)`,
      'none: the table is new',
    ),
  ];
}

/**
 * Writes the marker and makes sure it is flushed, whatever the server's synchronous_commit: a walsender sends nothing
 * that is not, and an idle server would otherwise take its time. One statement, so that a failure leaves no transaction
 * open behind it. Repeating it writes it again, which is seen again.
 */
export function writeMarker(schema: string, table: string, id: string): string {
  return `with local as materialized (select pg_catalog.set_config('synchronous_commit', 'local', true) as setting)
    insert into ${identifier(schema, table)} (id, at)
    select ${literal(id)}, pg_catalog.clock_timestamp() from local where setting is not null
        on conflict (id) do update set at = excluded.at`;
}

export function markerPresent(schema: string, table: string, id: string): string {
  return `select at::text as at from ${identifier(schema, table)} where id = ${literal(id)}`;
}

export function dropMarkerTable(schema: string, table: string): Statement[] {
  return [statement(`drop table if exists ${identifier(schema, table)}`, 'ACCESS EXCLUSIVE on the marker table')];
}
