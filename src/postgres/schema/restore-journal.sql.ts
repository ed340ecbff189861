/**
 * The restore's own tables on the target. They live in Lockstep's schema, are written in the same transactions as the
 * objects they tell of, and go when the upgrade is finalized or aborted.
 */
export const createJournal = `
  create schema if not exists lockstep;
  create table if not exists lockstep.restore_journal (
    section text not null,
    digest text not null,
    description text not null,
    done_at timestamptz not null default pg_catalog.now(),
    primary key (section, digest)
  );
  create table if not exists lockstep.restore_created (
    sequence bigint generated always as identity,
    class_oid oid not null,
    object_oid oid not null,
    primary key (class_oid, object_oid)
  );
  create table if not exists lockstep.restore_baseline (
    class_oid oid not null,
    object_oid oid not null,
    owner name,
    acl aclitem[],
    comment text,
    primary key (class_oid, object_oid)
  );`;

export const dropJournal = `
  drop table if exists lockstep.restore_journal, lockstep.restore_created, lockstep.restore_baseline`;

export const dropRoleJournal = `drop table if exists lockstep.restore_role`;

export const journalExists = `select pg_catalog.to_regclass('lockstep.restore_journal') is not null as present`;

/** Catalogs whose rows are objects that a dump creates by themselves; what hangs on them goes with them. */
const OBJECT_CATALOGS = [
  ...['pg_namespace', 'pg_extension', 'pg_class', 'pg_type', 'pg_proc', 'pg_operator', 'pg_opclass', 'pg_opfamily'],
  ...['pg_cast', 'pg_collation', 'pg_conversion', 'pg_language', 'pg_foreign_data_wrapper', 'pg_foreign_server'],
  ...['pg_ts_config', 'pg_ts_dict', 'pg_ts_parser', 'pg_ts_template', 'pg_event_trigger', 'pg_am', 'pg_transform'],
  ...['pg_default_acl', 'pg_statistic_ext'],
];

function objectRows(condition: string): string {
  return OBJECT_CATALOGS.map(
    (catalog) =>
      `select 'pg_catalog.${catalog}'::pg_catalog.regclass::oid as class_oid, oid as object_oid
         from pg_catalog.${catalog} where ${condition}${catalog === 'pg_class' ? ` and relkind in ('r', 'p', 'v', 'm', 'S', 'f')` : ''}`,
  ).join('\n union all ');
}

/** The first oid of objects that initdb did not make. */
const FIRST_USER_OID = 16384;

/**
 * What is on the target before the restore: every object that is not initdb's, and owner, privileges and comment of the
 * system's own objects, which a dump may change (`GRANT ... ON FUNCTION pg_catalog...`, the schema `public`).
 */
export const recordBaseline = `
  insert into lockstep.restore_baseline (class_oid, object_oid)
    select class_oid, object_oid from (${objectRows(`oid >= ${FIRST_USER_OID}`)}) as object
    on conflict do nothing;
  insert into lockstep.restore_baseline (class_oid, object_oid, owner, acl, comment)
    select 'pg_catalog.pg_namespace'::pg_catalog.regclass, oid, pg_catalog.pg_get_userbyid(nspowner), nspacl,
           pg_catalog.obj_description(oid, 'pg_namespace')
      from pg_catalog.pg_namespace where oid < ${FIRST_USER_OID}
    union all
    select 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, pg_catalog.pg_get_userbyid(proowner), proacl, null
      from pg_catalog.pg_proc where oid < ${FIRST_USER_OID}
    union all
    select 'pg_catalog.pg_class'::pg_catalog.regclass, oid, pg_catalog.pg_get_userbyid(relowner), relacl, null
      from pg_catalog.pg_class where oid < ${FIRST_USER_OID} and relkind in ('r', 'v')
    on conflict do nothing;`;

/**
 * Records what the running transaction created: its rows carry the transaction's id. Rows that were there before were
 * only altered; members of extensions and parts of other objects (row types, identity sequences) go with their owners.
 */
export const recordCreated = `
  insert into lockstep.restore_created (class_oid, object_oid)
    select object.class_oid, object.object_oid
      from (${objectRows(`xmin = pg_catalog.pg_current_xact_id()::xid and oid >= ${FIRST_USER_OID}`)}) as object
     where not exists (select from lockstep.restore_baseline b
                        where b.class_oid = object.class_oid and b.object_oid = object.object_oid)
       and not exists (select from pg_catalog.pg_depend d
                        where d.classid = object.class_oid and d.objid = object.object_oid and d.deptype in ('e', 'i')
                          -- A partitioned table depends on itself by its key.
                          and not (d.refclassid = d.classid and d.refobjid = d.objid))
     order by object.object_oid
    on conflict do nothing`;

export const doneEntries = `select digest, description from lockstep.restore_journal where section = $1`;

export const recordDone = `
  insert into lockstep.restore_journal (section, digest, description)
    select $1::text, digest, description from unnest($2::text[], $3::text[]) as done(digest, description)`;

/** Held by the session for the whole restore, so that two of us never run it on one database at once. */
export const lockRestore = `select pg_catalog.pg_try_advisory_lock(pg_catalog.hashtext('lockstep restore'), 0) as held`;
export const unlockRestore = `select pg_catalog.pg_advisory_unlock(pg_catalog.hashtext('lockstep restore'), 0)`;

/** Whether the schema named $1 keeps the role named $2 from creating anything in it; no row unless both exist. */
export const schemaClosedTo = `
  select not pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE') as closed
    from pg_catalog.pg_namespace n join pg_catalog.pg_roles r on r.rolname = $2
   where n.nspname = $1`;

export const knownSettings = `select pg_catalog.lower(name) as name from pg_catalog.pg_settings`;
