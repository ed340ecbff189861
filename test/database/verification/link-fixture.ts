import type { Session } from '../../../src/postgres/session.js';
import { LinkReaders } from '../../../src/verification/link/link-readers.js';
import { verifyLink } from '../../../src/verification/at-rest/verify-link.js';
import type { LinkVerification } from '../../../src/verification/at-rest/link-verification.js';
import { literal } from '../../../src/postgres/quoting.js';
import { eventually } from '../../support/eventually.js';
import type { TestServer } from '../../support/postgres-fleet.js';

/** Tables of every kind the comparison treats differently. */
export const SCHEMA = `
create extension if not exists pg_trgm;
create schema sales;
create type sales.state as enum ('new', 'paid', 'sent');
create domain sales.amount as numeric check (value >= 0);
create table sales.orders (
  id bigint primary key, customer integer not null, state sales.state not null default 'new',
  total sales.amount, note text, document text, placed_at timestamptz not null default clock_timestamp(),
  attributes jsonb, tags text[], payload bytea, weight double precision, double_total numeric generated always as (total * 2) stored);
alter table sales.orders alter document set storage external;
create table sales.items (order_id bigint, line integer, "Odd ""name" text, price numeric(12, 4), primary key (order_id, line));
create table sales.full_keyless (a integer, b text, at timestamptz);
alter table sales.full_keyless replica identity full;
create table sales.insert_only (a integer, b text);
create table sales.by_index (code text not null, region text not null, note text, primary key (code, region));
create unique index by_index_identity on sales.by_index (region, code);
alter table sales.by_index replica identity using index by_index_identity;
create table sales.measured (id integer, day date, value real, primary key (id, day)) partition by range (day);
create table sales.measured_a partition of sales.measured for values from ('2019-12-01') to ('2021-01-01');
create table sales.measured_b partition of sales.measured for values from ('2021-01-01') to ('2022-02-01');
create table sales.full_keyed (id uuid primary key, note text);
alter table sales.full_keyed replica identity full;
`;

export const ROWS = `
insert into sales.orders (id, customer, total, note, document, attributes, tags, payload, weight, placed_at)
select i, i % 50, (i % 1000) / 7.0, nullif('note ' || i % 9, 'note 3'), repeat(md5(i::text), 80), jsonb_build_object('n', i),
       array['a', null, i::text], decode(md5(i::text), 'hex'), i / 3.0, '2024-01-01'::timestamptz + i * interval '1 second'
  from generate_series(1, 2000) i;
insert into sales.items select o, l, 'item ' || l, o * l / 3.0 from generate_series(1, 800) o, generate_series(1, 3) l;
insert into sales.full_keyless select i % 40, 'x' || i % 3, '2024-01-01'::timestamptz + (i % 5) * interval '1 hour' from generate_series(1, 600) i;
insert into sales.insert_only select i % 30, 'y' from generate_series(1, 300) i;
insert into sales.by_index select 'c' || i, 'r' || i % 4, 'n' from generate_series(1, 500) i;
insert into sales.measured select i, '2020-01-01'::date + i % 700, i / 7.0 from generate_series(1, 1000) i;
insert into sales.full_keyed select md5(i::text)::uuid, 'f' || i from generate_series(1, 300) i;
`;

const PUBLICATIONS = `
create publication main_pub for table sales.orders, sales.items, sales.full_keyless, sales.by_index, sales.measured, sales.full_keyed
  with (publish_via_partition_root = true);
create publication inserts_pub for table sales.insert_only;
`;

/** A publisher and a subscriber database, replicating, with readers on both ends. */
export class LinkFixture {
  private constructor(
    readonly publisher: TestServer,
    readonly subscriber: TestServer,
    readonly database: string,
    readonly subscription: string,
    readonly readers: LinkReaders,
  ) {}

  static async create(
    publisher: TestServer,
    subscriber: TestServer,
    database: string,
    more: {
      publisher: string;
      subscriber: string;
      publications: string[];
      options?: string;
      twoPhase?: boolean;
    } | null = null,
  ): Promise<LinkFixture> {
    for (const server of [publisher, subscriber]) {
      await dropSubscription(server, database);
      await server.freshDatabase(database);
      await server.run(database, `set search_path = public, pg_catalog; ${SCHEMA}`);
    }
    await publisher.run(database, ROWS);
    await publisher.run(database, PUBLICATIONS);
    if (more) {
      await publisher.run(database, more.publisher);
      await subscriber.run(database, more.subscriber);
    }
    const publications = ['main_pub', 'inserts_pub', ...(more?.publications ?? [])].join(', ');
    const slot = `${database}_sub`;
    await publisher.withSession(database, (session) =>
      session.rows(
        `select pg_create_logical_replication_slot($1, 'pgoutput'${more?.twoPhase ? ', false, true' : ''})`,
        [slot],
      ),
    );
    const { host, port, user, password } = publisher;
    const conninfo = `host=${host} port=${port} user=${user} password=${password} dbname=${database}`;
    await subscriber.run(
      database,
      `create subscription "${slot}" connection ${literal(conninfo)} publication ${publications} with (create_slot = false, slot_name = '${slot}'${more?.options ? `, ${more.options}` : ''})`,
    );
    await subscriber.withSession(database, (session) =>
      eventually(async () => (await unready(session)) === 0, { within: 60_000 }),
    );
    const readers = await LinkReaders.open({
      readerId: database,
      publisher: publisher.target(database),
      subscriber: subscriber.target(database),
      subscription: slot,
      confirm: 'as-read',
      deadlineMs: 30_000,
    });
    return new LinkFixture(publisher, subscriber, database, slot, readers);
  }

  verify(options: Partial<Parameters<typeof verifyLink>[0]> = {}): Promise<LinkVerification> {
    return verifyLink({ readers: this.readers, tables: null, ...options });
  }

  /** Runs SQL on the subscriber that the publisher knows nothing of. */
  plant(sql: string): Promise<void> {
    return this.subscriber.run(this.database, sql);
  }

  async drop(): Promise<void> {
    await this.readers.drop();
    await dropSubscription(this.subscriber, this.database);
    for (const server of [this.publisher, this.subscriber]) {
      await server.withSession('postgres', (session) =>
        session.execute(`drop database if exists "${this.database}" with (force)`),
      );
    }
  }
}

async function unready(session: Session): Promise<number> {
  const { n } = await session.row<{ n: number }>(
    `select count(*)::int as n from pg_subscription_rel where srsubstate <> 'r'`,
  );
  return n;
}

/** What an interrupted run left would keep the database from being dropped. */
async function dropSubscription(server: TestServer, database: string): Promise<void> {
  const exists = await server.withSession('postgres', (session) =>
    session.rows('select from pg_database where datname = $1', [database]),
  );
  if (exists.length === 0) return;
  await server.withSession(database, async (session) => {
    const found = await session.rows<{ name: string }>(
      `select subname as name from pg_subscription join pg_database d on d.oid = subdbid where d.datname = current_database()`,
    );
    for (const { name } of found) {
      await session.execute(`drop subscription "${name}"`);
    }
  });
}
