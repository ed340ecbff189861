-- The old server, 16 or newer. Run by a superuser, connected to the database that moves.
-- Example names: login lockstep, database orders, owner orders_owner, writers orders_writer_a and orders_writer_b.

create role lockstep login replication createrole password 'replace this password';

-- The publication, the schema of Lockstep's marker, and the subscription of the way back.
grant create on database orders to lockstep;
grant pg_create_subscription to lockstep;

-- Every role that owns a table or sequence: only an owner publishes a table, and changes that come back are applied as
-- the owner.
grant orders_owner to lockstep with inherit true, set true;

-- Every role that logs in and can write: it is barred by NOLOGIN and its sessions are ended.
grant orders_writer_a, orders_writer_b to lockstep with admin true, inherit false, set false;
grant pg_signal_backend, pg_read_all_stats, pg_read_all_settings to lockstep;

-- How far the way back has applied.
grant execute on function pg_catalog.pg_replication_origin_progress(text, boolean) to lockstep;

-- Carries the passwords of the roles to the new server. Leave it out where nobody may read verifiers, and give the
-- passwords in writerPasswords instead.
grant select (rolname, rolpassword) on pg_catalog.pg_authid to lockstep;

-- Preflight looks for faulty lines of pg_hba.conf, which no change of the file survives. May be left out; it then says so.
grant select on pg_catalog.pg_hba_file_rules to lockstep;
grant execute on function pg_catalog.pg_hba_file_rules() to lockstep;
