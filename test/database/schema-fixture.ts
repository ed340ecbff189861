import { PG14, PG15 } from '../../src/shared/server-version.js';

/** Roles the fixture's objects belong to and are granted to; cluster-wide, so named after the spec that uses them. */
export function fixtureRoles(prefix: string): { owner: string; reader: string; writer: string } {
  return { owner: `${prefix} owner`, reader: `${prefix}_reader`, writer: `${prefix}"writer` };
}

/** A schema made of what breaks dumps, restores and comparisons. Runs as superuser in an empty database. */
export function nastySchema(versionNum: number, prefix: string): string {
  const { owner, reader, writer } = fixtureRoles(prefix);
  const quote = (name: string) => `"${name.replaceAll('"', '""')}"`;
  const [o, r, w] = [quote(owner), quote(reader), quote(writer)];
  return `
create extension citext; create extension hstore; create extension btree_gist; create extension pgcrypto schema public;
create schema "odd schema; --'x" authorization ${o};
create schema sales; create schema "Größe😀";
grant usage on schema sales to ${r};
comment on schema sales is 'sales; it''s "here" $$ \\ /* ';
alter schema sales owner to ${o};

create type sales.status as enum ('new', 'in work', 'it''s done', 'Ünï;');
create type sales.address as (street text, zip citext, "no." integer);
create domain sales.positive as integer default 1 not null constraint "must be > 0" check (value > 0);
create type sales.price_range as range (subtype = numeric);
create collation sales.german (provider = icu, locale = 'de-u-co-phonebk');
create collation sales.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);

create table sales.customers (
  id bigint generated always as identity (start with 100 increment by 5) primary key,
  name text collate sales.german not null,
  email citext unique,
  address sales.address,
  tags hstore default 'a=>1;',
  note text default E'back\\\\slash ''quote'' ; \\n newline',
  full_label text generated always as (name || ' <' || coalesce('x', '') || '>') stored,
  created timestamptz not null default now()
);
create table sales."Order Items;" (
  order_id integer not null, "line ""no""" smallint not null, qty sales.positive, state sales.status default 'in work',
  price numeric(12,2) default 0.00, valid sales.price_range, period tstzrange, room integer,
  constraint "pk ; items" primary key (order_id, "line ""no"""),
  constraint no_overlap exclude using gist (room with =, period with &&),
  constraint "price check" check (price >= 0) not valid
);
comment on column sales."Order Items;"."line ""no""" is 'a; b';
create table sales.by_uuid (id uuid primary key default gen_random_uuid(), customer_id bigint not null, data jsonb, secret bytea);
alter table sales.by_uuid add constraint by_uuid_customer foreign key (customer_id) references sales.customers
  on delete cascade deferrable initially deferred not valid;
create table sales.serials (id serial, small smallserial, big bigserial, label varchar(20));
alter table sales.serials alter label set statistics 500, alter label set storage external;
create unique index serials_identity on sales.serials (id);
alter table sales.serials replica identity using index serials_identity;
create table sales.no_key (a integer, b point); alter table sales.no_key replica identity full;
create table sales.later_identity (a integer not null, b integer not null);
create unique index "identity; idx" on sales.later_identity (b, a) include (a);
create unlogged table sales.scratch (a integer) with (fillfactor = 70, autovacuum_enabled = off);
create sequence sales.countdown as smallint increment by -3 minvalue -300 maxvalue 30 start with 30 cycle cache 5;
alter sequence sales.countdown owned by none;

create table "odd schema; --'x".parent (id integer not null, kind text, primary key (id, kind)) partition by list (kind);
create table "odd schema; --'x"."part 1" partition of "odd schema; --'x".parent for values in ('a', 'it''s;');
create table "odd schema; --'x".part_rest partition of "odd schema; --'x".parent default;
create index parent_kind on "odd schema; --'x".parent (kind text_pattern_ops desc nulls last) where id > 5;
create table "odd schema; --'x".by_range (at date not null, v integer) partition by range (at);
create table "odd schema; --'x".by_range_2025 partition of "odd schema; --'x".by_range
  for values from ('2025-01-01') to ('2026-01-01') partition by hash (v);
create table "odd schema; --'x".by_range_2025_0 partition of "odd schema; --'x".by_range_2025 for values with (modulus 2, remainder 0);
create unique index by_range_u on "odd schema; --'x".by_range (at, v);
create table "Größe😀".base (id integer primary key, n text); create table "Größe😀".child (extra integer) inherits ("Größe😀".base);

create view sales.names as select id, name, 'x;''y'::text as "odd;col", E'\\\\ \\'' as esc from sales.customers where name <> '$$;'
  with cascaded check option;
create view sales.secure with (security_barrier) as select * from sales.names;
create materialized view sales.totals as select order_id, sum(price) as total from sales."Order Items;" group by order_id;
create unique index totals_key on sales.totals (order_id);
create materialized view sales.totals_of_totals as select sum(total) as total from sales.totals;
create materialized view "Größe😀".empty as select 1 as one with no data;

create function sales.trap(a integer, out b text) language plpgsql as $trap$
begin
  -- Name: spoof; Type: TABLE; Schema: public; Owner: nobody
  b := $$inner; 'quote' $x$ $$ || ';' || E'\\'';
  execute 'select 1; select 2';
  /* the next line belongs to the body
\\restrict key
  */
  if a > 1 then b := 'case; end'; end if;
end $trap$;
create function sales.plain(integer, text default 'a;b') returns text language sql immutable parallel safe cost 7
  as 'select ''x;'' || $2; -- it''s';
create function sales.setof_it() returns table (x integer, "y y" text) language sql set search_path = sales, pg_temp as $$ select 1, 'a' $$;
create procedure sales.do_it(inout n integer) language plpgsql as $$ begin n := n + 1; commit; end $$;
create procedure sales.take_in(label text, n integer default 1) language sql as $$ select 1 $$;
create aggregate sales.concat_all(text) (sfunc = textcat, stype = text, initcond = ''';');
create function sales.touch() returns trigger language plpgsql as $$ begin return new; end $$;
create operator sales.=== (leftarg = integer, rightarg = integer, function = int4eq, commutator = operator(sales.===));
create cast (sales.status as sales.address) with inout;
revoke all on function sales.plain(integer, text) from public;
grant execute on function sales.plain(integer, text) to ${w} with grant option;
grant execute on function pg_catalog.pg_ls_waldir() to ${r};

create trigger touched before update of name on sales.customers for each row when (old.name is distinct from new.name) execute function sales.touch('it''s; $1');
create trigger "always;" after insert on sales.customers for each row execute function sales.touch();
alter table sales.customers enable always trigger "always;";
create trigger disabled before delete on sales.by_uuid for each row execute function sales.touch();
alter table sales.by_uuid disable trigger disabled;
create constraint trigger deferred_one after insert on sales.by_uuid deferrable initially deferred for each row execute function sales.touch();
create rule protect as on delete to sales.no_key do instead (insert into sales.scratch values (old.a); update sales.scratch set a = 1;);
create rule off_rule as on update to sales.scratch do also notify "chan;nel"; alter table sales.scratch disable rule off_rule;
alter table sales.customers enable row level security; alter table sales.customers force row level security;
create policy "own rows" on sales.customers as restrictive for select to ${r}, ${w} using (name <> ';''') ;
create policy p2 on sales.customers for insert with check (true);
create statistics sales.stats_a (dependencies, ndistinct) on name, email from sales.customers;
create function sales.on_ddl() returns event_trigger language plpgsql as $$ begin null; end $$;
create event trigger "${prefix} ddl" on ddl_command_end when tag in ('DROP TABLE') execute function sales.on_ddl();
alter event trigger "${prefix} ddl" disable;
create text search configuration sales.tsc (copy = pg_catalog.english);
create foreign data wrapper "${prefix} fdw" options (debug 'it''s;');
create server "${prefix} srv" foreign data wrapper "${prefix} fdw" options (host 'h;');
create user mapping for ${w} server "${prefix} srv" options (password 'planted-secret');
create foreign table sales.remote (a integer) server "${prefix} srv";

alter table sales.customers owner to ${o}; alter table sales.by_uuid owner to ${o}; alter view sales.names owner to ${o};
alter function sales.trap(integer) owner to ${o}; alter type sales.status owner to ${o}; alter materialized view sales.totals owner to ${o};
grant select (id, name), update (note) on sales.customers to ${r};
grant select, insert on sales."Order Items;" to ${w} with grant option; grant select on sales.by_uuid to public;
grant usage on type sales.price_range to ${r}; grant usage, select on sequence sales.countdown to ${w};
alter default privileges for role ${o} in schema sales grant select on tables to ${r};
alter default privileges for role ${o} revoke execute on functions from public;
alter default privileges for role ${o} grant usage on sequences to ${w};
${
  versionNum >= PG14
    ? `
create function sales.atomic(a integer) returns integer language sql begin atomic
  select case when a > 1 then case a when 2 then 3 end else 4 end; select count(*)::integer from sales.no_key; end;
create statistics sales.stats_expr on (lower(name)), id from sales.customers;
alter table sales.customers alter note set compression pglz;`
    : ''
}
${
  versionNum >= PG15
    ? `
alter table sales.later_identity add constraint nnd unique nulls not distinct (a);
create unlogged sequence sales.unlogged_seq; create view sales.invoker with (security_invoker) as select 1 as x;`
    : ''
}
`;
}
