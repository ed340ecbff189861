/* Asked over a walsender connection, which takes no parameters, before the server's version is known. */

/** The slot that is to be read from, by its name as a literal, with what the server says of itself; no row: not there. */
export function sourceSlotSql(slotLiteral: string): string {
  return `
      select pg_catalog.current_setting('server_version_num')::int as version,
             (select setting::int from pg_catalog.pg_settings where name = 'wal_sender_timeout') as timeout,
             pg_catalog.clock_timestamp()::text as at,
             s.plugin, s.slot_type, s.database, pg_catalog.current_database() as current,
             s.confirmed_flush_lsn::text as confirmed, s.wal_status
        from pg_catalog.pg_replication_slots s where s.slot_name = ${slotLiteral}`;
}

/** An xid that no transaction had yet, with its epoch; null on a standby, which gives out none. */
export const FIRST_XID = `
      select case when pg_catalog.pg_is_in_recovery() then null
             else pg_catalog.pg_current_xact_id()::text end as first`;
