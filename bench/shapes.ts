/** A table to compare, of so many rows. */
export interface BenchTable {
  definition: string;
  rows: (count: number) => string;
}

export const SHAPES = {
  wide: {
    definition: `
create table public.wide (
  id bigint primary key, customer integer not null, reference uuid not null, state text not null, total numeric(12, 2),
  placed_at timestamptz not null, weight double precision, paid boolean, note text, attributes jsonb)`,
    rows: (count) => `
insert into public.wide
select i, i % 10000, md5(i::text)::uuid, (array['new', 'paid', 'sent'])[i % 3 + 1], i / 7.0,
       '2024-01-01'::timestamptz + i * interval '1.001 second', i / 3.0, i % 2 = 0, repeat(md5(i::text), 3),
       jsonb_build_object('n', i, 'tag', md5((i % 1000)::text))
  from generate_series(1, ${count}) i`,
  },
  narrow: {
    definition: 'create table public.narrow (id bigint primary key, customer integer not null, amount integer)',
    rows: (count) => `insert into public.narrow select i, i % 10000, i % 777 from generate_series(1, ${count}) i`,
  },
  jsonb: {
    definition: 'create table public.documents (id bigint primary key, document jsonb not null)',
    rows: (count) => `
insert into public.documents
select i, jsonb_build_object('n', i, 'tags', jsonb_build_array(md5(i::text), md5((i % 1000)::text)), 'at',
         jsonb_build_object('lat', i / 7.0, 'lon', i / 11.0, 'name', repeat(md5(i::text), 4)))
  from generate_series(1, ${count}) i`,
  },
  'no-key': {
    definition: `
create table public.events (at timestamptz not null, kind text, payload text);
alter table public.events replica identity full`,
    rows: (count) => `
insert into public.events
select '2024-01-01'::timestamptz + i * interval '1 ms', 'k' || i % 50, md5((i % 1000)::text)
  from generate_series(1, ${count}) i`,
  },
} as const satisfies Record<string, BenchTable>;

export type ShapeName = keyof typeof SHAPES;
