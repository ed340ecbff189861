import { identifier, literal } from '../../src/postgres/quoting.js';
import type { Session } from '../../src/postgres/session.js';
import { PG16 } from '../../src/shared/server-version.js';

/** With LOCKSTEP_TEST_LOGIN=owner: whom the service logs in as, instead of the superuser that the tests are. */
export const OWNER_LOGIN =
  process.env.LOCKSTEP_TEST_LOGIN === 'owner' ? { user: 'lockstep_owner', password: 'owner-secret' } : null;

/** Of servers: one role is made by whoever of several specs comes first. */
const LOCK = 4_203_001;

/** What docs/privileges.md asks for apart from what the login owns; in `postgres`, where the servers are registered. */
export async function createOwnerLogin(session: Session): Promise<void> {
  const { user, password } = OWNER_LOGIN!;
  const roles = ['pg_monitor', ...(session.versionNum >= PG16 ? ['pg_create_subscription'] : [])];
  await session.execute(
    `do $do$ begin
       perform pg_catalog.pg_advisory_xact_lock(${LOCK});
       if exists (select from pg_catalog.pg_roles where rolname = ${literal(user)}) then return; end if;
       create role ${identifier(user)} login replication password ${literal(password)};
       grant ${roles.join(', ')} to ${identifier(user)};
       grant create on database ${identifier('postgres')} to ${identifier(user)};
       ${READING};
     end $do$`,
  );
}

/** What a superuser reads by itself, in each database. */
const READING =
  OWNER_LOGIN &&
  `grant select (subconninfo) on pg_catalog.pg_subscription to ${identifier(OWNER_LOGIN.user)};
   grant execute on function pg_catalog.pg_replication_origin_progress(text, boolean) to ${identifier(OWNER_LOGIN.user)}`;

/**
 * In a new database of the login's: what the superuser creates there becomes the login's, so that it owns what the
 * specs set up. Left are, up to 15, subscriptions: only superusers own them.
 */
export async function handOverCreations(session: Session): Promise<void> {
  const owned = ['schema', 'table', 'foreign table', 'view', 'materialized view', 'sequence', 'type'];
  const types = [...owned, 'function', 'procedure', 'publication'];
  if (session.versionNum >= PG16) types.push('subscription');
  const commands = [...types, 'domain', 'table as'].map((type) => `'CREATE ${type.toUpperCase()}'`);
  await session.execute(
    `${READING};
     create schema handover;
     create function handover.hand_over() returns event_trigger language plpgsql set search_path = pg_catalog as $body$
       declare made record;
       begin
         if not (select rolsuper from pg_roles where rolname = current_user) then return; end if;
         for made in
           select c.object_type, c.object_identity
             from pg_event_trigger_ddl_commands() c
            where c.object_type in (${types.map(literal).join(', ')})
              -- Of a column's: goes with its table.
              and not (c.object_type = 'sequence' and exists (
                    select from pg_depend d
                     where d.classid = c.classid and d.objid = c.objid and d.refobjsubid > 0 and d.deptype in ('a', 'i')))
              -- Created for somebody else.
              and not (c.object_type = 'schema' and exists (
                    select from pg_namespace n where n.oid = c.objid and n.nspowner <> current_user::regrole))
         loop
           execute format('alter %s %s owner to ${identifier(OWNER_LOGIN!.user)}', made.object_type, made.object_identity);
         end loop;
       end $body$;
     create event trigger hand_over on ddl_command_end
       when tag in (${[...commands, "'SELECT INTO'"].join(', ')})
       execute function handover.hand_over()`,
  );
}
