/** Still existing objects of the journal, newest first; pg_identify_object gives null for what is gone. */
export const listCreated = `
  select c.class_oid::text as "classOid", c.object_oid::text as "objectOid", i.type, i.identity
    from lockstep.restore_created c
   cross join lateral pg_catalog.pg_identify_object(c.class_oid, c.object_oid, 0) as i
   where i.identity is not null
   order by c.sequence desc`;

/**
 * Objects of somebody else that would go with the object (`$1` class, `$2` oid) on CASCADE. Theirs is what is neither in
 * the journal nor part of something that is: indexes, constraints, triggers, partitions, row types, user mappings.
 */
export const foreignDependents = `
  with recursive ours(class_oid, object_oid) as (
    select class_oid, object_oid from lockstep.restore_created
    union
    select d.classid, d.objid
      from pg_catalog.pg_depend d
      join ours o on d.refclassid = o.class_oid and d.refobjid = o.object_oid
     where d.deptype in ('a', 'i', 'P', 'S', 'e') or d.classid = 'pg_catalog.pg_user_mapping'::pg_catalog.regclass
  ), falling(class_oid, object_oid, sub_id) as (
    select $1::oid, $2::oid, 0
    union
    -- What falls further with something of theirs need not be named.
    select next.*
      from falling f
      join ours o on o.class_oid = f.class_oid and o.object_oid = f.object_oid
     cross join lateral (
       select d.classid, d.objid, d.objsubid from pg_catalog.pg_depend d
        where d.refclassid = f.class_oid and d.refobjid = f.object_oid
       union all
       -- A view falls with its rule.
       select 'pg_catalog.pg_class'::pg_catalog.regclass::oid, w.ev_class, 0 from pg_catalog.pg_rewrite w
        where f.class_oid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and w.oid = f.object_oid and w.rulename = '_RETURN'
     ) as next
  )
  select distinct pg_catalog.pg_describe_object(f.class_oid, f.object_oid, f.sub_id) as description
    from falling f
   where not exists (select from ours o where o.class_oid = f.class_oid and o.object_oid = f.object_oid)
   order by 1`;

/** Statements that set one entry of pg_default_acl (`$1`) back to what PostgreSQL grants by itself. */
export const defaultAclReverts = `
  with entry as (
    select pg_catalog.pg_get_userbyid(defaclrole) as role, defaclnamespace, defaclobjtype, defaclacl,
           case defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
                              when 'T' then 'types' when 'n' then 'schemas' when 'L' then 'large objects' end as kind,
           case when defaclnamespace = 0
                then pg_catalog.acldefault(case defaclobjtype when 'S' then 's' else defaclobjtype end, defaclrole)
                else null end as built_in,
           (select pg_catalog.format(' in schema %I', nspname) from pg_catalog.pg_namespace where oid = defaclnamespace) as place
      from pg_catalog.pg_default_acl where oid = $1::oid
  )
  select pg_catalog.format('alter default privileges for role %I%s revoke all on %s from %s', role, place, kind, grantee)
         as statement, 1 as step
    from entry, lateral (select distinct case grantee when 0 then 'public'
                                         else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) end as grantee
                           from pg_catalog.aclexplode(defaclacl)) as held
  union all
  select pg_catalog.format('alter default privileges for role %I%s grant %s on %s to %s', role, place, privilege_type, kind,
                           case grantee when 0 then 'public'
                           else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) end), 2
    from entry, lateral pg_catalog.aclexplode(built_in)
   order by step`;

/** Schemas of the system whose owner the dump changed. */
export const changedOwners = `
  select n.nspname::text as schema, b.owner::text as owner
    from lockstep.restore_baseline b
    join pg_catalog.pg_namespace n on n.oid = b.object_oid
   where b.class_oid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
     and b.owner is not null and b.owner <> pg_catalog.pg_get_userbyid(n.nspowner)`;

/**
 * Statements that give the system's own objects the privileges they had: everything of a grantee who stands differently
 * is revoked, then granted as recorded. An object without explicit privileges had the built-in ones.
 */
export const changedPrivileges = `
  with now as (
    select b.class_oid, b.object_oid, 'n' as kind, pg_catalog.format('schema %I', n.nspname) as target, n.nspowner as owner,
           b.acl as was, n.nspacl as acl
      from lockstep.restore_baseline b join pg_catalog.pg_namespace n on n.oid = b.object_oid
     where b.class_oid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and b.owner is not null
    union all
    select b.class_oid, b.object_oid, 'f', case p.prokind when 'p' then 'procedure ' else 'function ' end ||
           p.oid::pg_catalog.regprocedure::text, p.proowner, b.acl, p.proacl
      from lockstep.restore_baseline b join pg_catalog.pg_proc p on p.oid = b.object_oid
     where b.class_oid = 'pg_catalog.pg_proc'::pg_catalog.regclass and b.owner is not null
    union all
    select b.class_oid, b.object_oid, 'r', pg_catalog.format('table %s', c.oid::pg_catalog.regclass), c.relowner, b.acl, c.relacl
      from lockstep.restore_baseline b join pg_catalog.pg_class c on c.oid = b.object_oid
     where b.class_oid = 'pg_catalog.pg_class'::pg_catalog.regclass and b.owner is not null
  ), item as (
    select target, 'was' as side, held.* from now, lateral pg_catalog.aclexplode(coalesce(was, pg_catalog.acldefault(kind::"char", owner))) as held
     where was is distinct from acl
    union all
    select target, 'is', held.* from now, lateral pg_catalog.aclexplode(coalesce(acl, pg_catalog.acldefault(kind::"char", owner))) as held
     where was is distinct from acl
  ), standing as (
    select target, grantee,
           pg_catalog.array_agg(row(privilege_type, is_grantable)::text order by privilege_type, is_grantable) filter (where side = 'was') as was,
           pg_catalog.array_agg(row(privilege_type, is_grantable)::text order by privilege_type, is_grantable) filter (where side = 'is') as held
      from item group by target, grantee
  ), changed as (
    select target, grantee, case grantee when 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(grantee)) end as name
      from standing where was is distinct from held
  )
  select pg_catalog.format('revoke all on %s from %s cascade', target, name) as statement, 1 as step from changed
  union all
  select pg_catalog.format('grant %s on %s to %s%s', i.privilege_type, i.target, c.name,
                           case when i.is_grantable then ' with grant option' else '' end), 2
    from changed c join item i on i.target = c.target and i.grantee = c.grantee and i.side = 'was'
   order by step`;

/** Comments on the system's schemas that the dump changed. */
export const changedComments = `
  select pg_catalog.format('comment on schema %I is %L', n.nspname, b.comment) as statement
    from lockstep.restore_baseline b join pg_catalog.pg_namespace n on n.oid = b.object_oid
   where b.class_oid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and b.owner is not null
     and b.comment is distinct from pg_catalog.obj_description(n.oid, 'pg_namespace')`;
