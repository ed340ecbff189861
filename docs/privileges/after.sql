-- The new server, after finalize. Run by a superuser, connected to the database.

alter database orders owner to orders_owner;

-- Not DROP OWNED or DROP ROLE: memberships of the roles that the login created were granted by it and would go with it.
alter role lockstep nologin noreplication nocreaterole;
