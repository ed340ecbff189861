/** What a load is faster without: indexes, foreign keys, functions, triggers, views, comments. Run by the owner role. */
export const CONSTRAINTS = `
create index on catalog.product using gin (tags);
create index on catalog.product using gin (attributes jsonb_path_ops);
create index product_active on catalog.product (updated_at) where status = 'active';
create index on sales.orders (customer_id);
create index on sales.orders (channel);
create index on sales.order_line (product_id);
create index on sales.payment (order_id, placed_at);
create index on sales.payment using brin (received_at);
create index on catalog.document (author);
create index on app.client_write (run);
create statistics catalog.product_price_status (dependencies) on price, status from catalog.product;

alter table catalog.price_list add foreign key (product_id) references catalog.product on delete cascade;
alter table sales.orders add foreign key (customer_id) references sales.customer;
alter table sales.order_line add foreign key (order_id, placed_at) references sales.orders on delete cascade;
alter table sales.order_line add foreign key (product_id) references catalog.product;
alter table sales.payment add constraint payment_order foreign key (order_id, placed_at) references sales.orders
  on delete cascade deferrable initially deferred;
alter table sales.payment add constraint positive_amount check (amount > 0) not valid;

create function catalog.slug(name text) returns text language sql immutable strict
  as $$ select pg_catalog.regexp_replace(pg_catalog.lower(name), '[^a-z0-9]+', '-', 'g') $$;
create index product_slug on catalog.product (catalog.slug(name));
create function sales.order_total(order_id bigint) returns numeric language sql stable
  as $$ select coalesce(sum(l.amount), 0) from sales.order_line l where l.order_id = $1 $$;
create procedure sales.close_orders(before timestamptz) language plpgsql
  as $$ begin update sales.orders set status = 'closed' where placed_at < before and status = 'open'; end $$;

create function audit.note_change() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into audit.row_change (relation, operation, old_row, new_row)
  values (tg_table_schema || '.' || tg_table_name, tg_op,
          case when tg_op <> 'INSERT' then to_jsonb(old) end, case when tg_op <> 'DELETE' then to_jsonb(new) end);
  return null;
end $$;
create function catalog.touch() returns trigger language plpgsql as $$
begin
  new.updated_at := clock_timestamp();
  return new;
end $$;
create trigger touch before update on catalog.product for each row execute function catalog.touch();
create trigger note_change after insert or update or delete on catalog.product
  for each row execute function audit.note_change();
create trigger never_fires after truncate on app.cart for each statement execute function audit.note_change();
alter table app.cart disable trigger never_fires;

create view sales.open_orders as select * from sales.orders where status = 'open' with local check option;
create view sales.order_totals as
  select o.id, o.channel, count(l.line_no) as lines, coalesce(sum(l.amount), 0) as total
  from sales.orders o left join sales.order_line l on l.order_id = o.id and l.placed_at = o.placed_at
  group by o.id, o.channel;
create materialized view sales.revenue_by_month as
  select date_trunc('month', placed_at at time zone 'UTC') as month, sum(amount) as revenue
  from sales.order_line group by 1;
create unique index on sales.revenue_by_month (month);

comment on table app.event_log is 'Has no key: replicated with REPLICA IDENTITY FULL';
comment on column sales.order_line.amount is 'Computed: quantity * unit_price';
comment on table "Odd ""Schema"""."Wéird -- Table" is E'An odd name; drop table "x"; --\\nsecond line';
comment on function sales.order_total(bigint) is 'Sum of the lines of one order';
`;
