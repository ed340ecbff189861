/** Share of each table in the rows asked for. Order lines follow from orders, three each on average. */
const SHARE = {
  orders: 0.18,
  payments: 0.12,
  customers: 0.06,
  prices: 0.06,
  products: 0.02,
  documents: 0.005,
  events: 0.005,
  specimens: 0.002,
};

const ACCOUNTS = 200;

/** Statements that fill the demo database with about `rows` rows in all, each one set-based; none for 0 rows. */
export function rowStatements(rows: number): string[] {
  const count = (table: keyof typeof SHARE): number => Math.max(20, Math.round(rows * SHARE[table]));
  if (rows === 0) return [];
  return [
    // Some sequences are used, some never.
    `select nextval(format('app.counter_%s', lpad(i::text, 3, '0'))) from generate_series(1, 200) i, generate_series(1, i % 40 + 1)
     where i % 4 <> 0`,
    `insert into catalog.product (sku, name, tags, attributes, price, status, picture)
     select 'SKU-' || i, 'Product ' || i || ' Ünit', array['tag' || i % 17, 'tag' || i % 5, null],
            jsonb_build_object('colour', (array['red', 'green', null])[i % 3 + 1], 'weight', i / 7.0, 'nested', '{"a": [1, 2.50]}'::jsonb),
            (i % 1000) / 8.0, (array['draft', 'active', 'retired'])[i % 3 + 1]::catalog.product_status,
            case when i % 4 <> 0 then decode(md5(i::text), 'hex') end
     from generate_series(1, ${count('products')}) i`,
    `insert into catalog.price_list (region, product_id, valid_from, price, discount)
     select (array['AT', 'DE', 'FR', 'IT'])[i % 4 + 1], i % ${count('products')} + 1, date '2026-01-01' + i, i * 1.10, nullif(i % 101, 100)
     from generate_series(1, ${count('prices')}) i`,
    `insert into catalog.document (author, title, body)
     select 'import', 'Document ' || i, (select string_agg(md5(i::text || '/' || part), '') from generate_series(1, 80 + i % 40) part)
     from generate_series(1, ${count('documents')}) i`,
    `insert into catalog.specimen
       (small, whole, single, twice, exact, truth, fixed, varying, raw, bits, day, clock, zoned, plain, moment, span, address,
        card, place, area, numbers, grid, ranges, document, parsed, words, size)
     select i - 300, i * 10000000000, i / 3.0, case i % 50 when 0 then 'NaN' when 1 then '-Infinity' else i::float8 / 7 end,
            i / 11.0, i % 3 = 0, 'x' || i, case i % 4 when 0 then '' when 1 then null else 'trailing ' end, decode(md5(i::text), 'hex'),
            i::bit(12), date '1999-12-31' + i, time '00:00' + i * interval '1 minute', time with time zone '12:00+02' + i * interval '1 second',
            timestamp '2026-01-01' + i * interval '1.000001 second', timestamptz '2026-01-01 00:00+00' + i * interval '1 hour',
            i * interval '1 day 1 second', ('10.0.' || i % 256 || '.1/24')::inet, ('08:00:2b:01:02:' || to_hex(i % 240 + 16))::macaddr,
            point(i, -i), box(point(0, 0), point(i, i)), array[i, null, -i], array[[i / 2.0, 1.00], [2.50, null]],
            int4range(i, i + 10), '{"b":1,  "a":2}', '{"b":1,  "a":2}', to_tsvector('simple', 'lock step ' || i), row(i, i / 2.0, 'cm')::catalog.dimensions
     from generate_series(1, ${Math.min(count('specimens'), 30_000)}) i`,
    `insert into sales.customer (email, full_name, profile, favourite_products, joined_at)
     select 'customer' || i || '@example.org', 'Customer ' || i, jsonb_build_object('vip', i % 50 = 0, 'points', i % 997),
            case when i % 3 > 0 then array[i % 10, i % 7] end, timestamptz '2020-01-01 00:00+00' + i * interval '37 minutes'
     from generate_series(1, ${count('customers')}) i`,
    `insert into sales.orders (placed_at, customer_id, status, note)
     select timestamptz '2026-01-01 00:00+00' + (i % 372) * interval '1 day' + (i % 86400) * interval '1 second',
            i % ${count('customers')} + 1, (array['open', 'paid', 'shipped', 'closed'])[i % 4 + 1], case when i % 5 = 0 then 'Note ' || i end
     from generate_series(1, ${count('orders')}) i`,
    `insert into sales.order_line (order_id, placed_at, line_no, product_id, quantity, unit_price)
     select o.id, o.placed_at, line, (o.id + line) % ${count('products')} + 1, o.id % 9 + 1, (o.id * line % 10000) / 100.0
     from sales.orders o, generate_series(1, 2 + o.id::integer % 3) line`,
    `insert into sales.payment (id, order_id, placed_at, method, amount, receipt, received_at)
     select md5('payment' || id)::uuid, id, placed_at, (array['card', 'transfer', 'voucher'])[id % 3 + 1]::sales.payment_method,
            id % 500 + 0.99, case when id % 2 = 0 then decode(md5(id::text), 'hex') end, placed_at + interval '1 hour'
     from sales.orders order by id limit ${count('payments')}`,
    `insert into app.account (id) select generate_series(1, ${ACCOUNTS})`,
    `insert into app.event_log (source, n, at, message, severity)
     select 'import', i, timestamptz '2026-01-01 00:00+00' + i * interval '1 minute', case i % 3 when 0 then null when 1 then '' else 'event ' || i end, i % 8
     from generate_series(1, ${count('events')}) i`,
    `insert into "Odd ""Schema"""."Wéird -- Table" ("Ünïcode") select 'Ärger ' || i from generate_series(1, 50) i`,
  ];
}
