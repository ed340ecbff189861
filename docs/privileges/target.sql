-- The new server, 16 or newer. Run by a superuser, connected to the new, empty database.
-- Example names: login lockstep, database orders.

create role lockstep login replication createrole password 'replace this password';

-- Its schemas, among them public, which belongs to the owner of the database. Another owner may follow after finalize.
alter database orders owner to lockstep;
grant pg_create_subscription to lockstep;

-- Sessions of writers are ended by a rollback.
grant pg_signal_backend, pg_read_all_stats, pg_read_all_settings to lockstep;

-- How far the subscription has applied.
grant execute on function pg_catalog.pg_replication_origin_progress(text, boolean) to lockstep;

-- Preflight looks for faulty lines of pg_hba.conf, which no change of the file survives. May be left out; it then says so.
grant select on pg_catalog.pg_hba_file_rules to lockstep;
grant execute on function pg_catalog.pg_hba_file_rules() to lockstep;
