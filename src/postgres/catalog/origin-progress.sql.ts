/*
 * Expressions for how far the replication origin of that name (a literal) got, as text: two ways, which ask for different
 * privileges.
 */

/** Null: there is no such origin, or nothing is known of it. */
export function originInView(originLiteral: string): string {
  return `(select remote_lsn::text from pg_catalog.pg_replication_origin_status where external_id = ${originLiteral})`;
}

/**
 * Fails where there is no such origin. Null of the function is what the view shows as 0/0: nothing was applied yet. The
 * server forgets no progress it had.
 */
export function originByFunction(originLiteral: string): string {
  return `coalesce(pg_catalog.pg_replication_origin_progress(${originLiteral}, false)::text, '0/0')`;
}
