import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { AVAILABLE_MAJORS, TestServer } from '../../test/support/postgres-fleet.js';
import { demoRoles, loadDemo } from './schema.js';

describe.each(AVAILABLE_MAJORS)('the demo schema on PostgreSQL %i', (major) => {
  const database = 'demo_schema';
  let server: TestServer;

  beforeAll(async () => {
    server = await TestServer.shared(major);
    await loadDemo(server.target(await server.freshDatabase(database)), { rows: 3000 });
  });
  afterAll(() => server?.stop());

  it('loads with every kind of object an upgrade has to carry', async () => {
    const counts = await server.withSession(database, (session) =>
      session.row<Record<string, number>>(`
        with mine as (
          select c.* from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where n.nspname in ('app', 'audit', 'catalog', 'sales', 'Odd "Schema"'))
        select (select count(*)::int from mine where relkind = 'S') as sequences,
               (select count(*)::int from mine where relkind = 'r' and relispartition) as partitions,
               (select count(*)::int from mine where relkind = 'p') as partitioned,
               (select count(*)::int from mine where relkind = 'm') as matviews,
               (select count(*)::int from mine where relkind = 'r' and relreplident = 'f') as full_identity,
               (select count(*)::int from sales.order_line) as lines,
               (select count(*)::int from catalog.document where pg_catalog.pg_column_size(body) > 2500) as toasted`),
    );
    expect(counts).toMatchObject({ partitions: 18, partitioned: 2, matviews: 1, full_identity: 1 });
    expect(counts.sequences).toBeGreaterThan(200);
    expect(counts.lines).toBeGreaterThan(1500);
    expect(counts.toasted).toBeGreaterThan(15);
  });

  it('leaves every written table able to replicate updates and deletes', async () => {
    const without = await server.withSession(database, (session) =>
      session.rows<{ name: string }>(`
        select c.oid::pg_catalog.regclass::text as name from pg_catalog.pg_class c
        where c.relkind in ('r', 'p') and c.relnamespace::pg_catalog.regnamespace::text in ('app', 'audit', 'catalog', 'sales')
          and c.relreplident <> 'f'
          and not exists (select from pg_catalog.pg_index i where i.indrelid = c.oid and i.indisprimary and i.indimmediate)`),
    );
    expect(without).toEqual([]);
  });

  it('lets the writers write, the reader only read, and the owner not log in', async () => {
    const { writers, reader, owner } = demoRoles();
    const rights = await server.withSession(database, (session) =>
      session.row(
        `select pg_catalog.has_table_privilege($1, 'sales.orders', 'insert, update, delete') as writer_writes,
                pg_catalog.has_sequence_privilege($1, 'app.counter_001', 'usage') as writer_counts,
                pg_catalog.has_table_privilege($2, 'sales.orders', 'select') as reader_reads,
                pg_catalog.has_table_privilege($2, 'sales.orders', 'insert, update, delete')
                  or pg_catalog.has_schema_privilege($2, 'public', 'create') as reader_writes,
                (select rolcanlogin from pg_catalog.pg_roles where rolname = $3) as owner_logs_in`,
        [writers[0]!.user, reader.user, owner],
      ),
    );
    expect(rights).toEqual({
      writer_writes: true,
      writer_counts: true,
      reader_reads: true,
      reader_writes: false,
      owner_logs_in: false,
    });
  });
});
