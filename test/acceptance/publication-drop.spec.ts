import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { PublicationsModule } from '../../src/publications/publications.module.js';
import { OWNER_LOGIN } from '../support/owner-login.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

const DATABASE = 'publication_drop';
const TABLES = Array.from({ length: 20 }, (_, number) => `t${number}`);
const LASTS_MS = 4_000;
const PUBLICATIONS = `/v1/servers/one/databases/${DATABASE}/publications`;
/** Writes down, for each DROP PUBLICATION, how much was left in the publications when it began. */
const WATCH = `
  create table drops (members int);
  create function watch() returns event_trigger language plpgsql as $$ begin
    insert into public.drops select count(*) from pg_publication_rel; end $$;
  create event trigger watch on ddl_command_start when tag in ('DROP PUBLICATION') execute function public.watch()`;

describe('DELETE of a publication whose tables are written to', () => {
  let state: TestServer;
  let server: TestServer;
  let api: ApiUnderTest;

  beforeAll(async () => {
    state = await TestServer.shared(18);
    server = await TestServer.start(AVAILABLE_MAJORS.at(-1)!);
    api = await ApiUnderTest.start(state, await state.freshDatabase('publication_drop_state'), {
      imports: [PublicationsModule],
    });
    const { host, port, user, password } = server;
    const body = { name: 'one', host, port, user, password, tls: { mode: 'disable' } };
    expect((await api.post('/v1/servers', body)).status).toBe(201);
  });
  beforeEach(async () => {
    await server.freshDatabase(DATABASE);
    const tables = TABLES.map((name) => `create table ${name} (id int primary key, n int)`);
    const rows = TABLES.map((name) => `insert into ${name} values (1, 0)`);
    await server.run(DATABASE, ['create schema other', ...tables, ...rows].join(';'));
  });
  afterAll(async () => {
    await api?.stop();
    for (const each of [state, server]) await each?.stop();
  });

  /** Updates the tables until `work` is done; an error of a writer is the test's. */
  async function underWrites(work: (round: number) => Promise<void>): Promise<void> {
    let over = false;
    const writers = [0, 1, 2].map(async (writer) =>
      server.withSession(DATABASE, async (session) => {
        let writes = 0;
        for (; !over; writes++) {
          await session.execute(`update public.t${(writes * 7 + writer) % TABLES.length} set n = n + 1`);
        }
        return writes;
      }),
    );
    // Looked at below; one that fails early must not go unheard.
    for (const writer of writers) writer.catch(() => {});
    try {
      for (const until = Date.now() + LASTS_MS, round = { is: 0 }; Date.now() < until; round.is++) await work(round.is);
    } finally {
      over = true;
    }
    for (const writes of await Promise.all(writers)) expect(writes).toBeGreaterThan(100);
  }

  const tables = TABLES.map((name) => ({ schema: 'public', name }));
  const ofTables = { kind: 'tables', tables };
  const ofSchemas = [
    { kind: 'schemas', schemas: ['public'], tables: [] },
    { kind: 'schemas', schemas: ['other'], tables },
  ];
  // Only superusers make publications of schemas.
  const targets = OWNER_LOGIN === null ? [ofTables, ...ofSchemas] : [ofTables];

  it('fails no writer, and the publication is empty before it goes', async () => {
    await server.run(DATABASE, WATCH);
    let drops = 0;
    await underWrites(async (round) => {
      const name = `pub ${round}`;
      const made = await api.post(PUBLICATIONS, { name, target: targets[round % targets.length] });
      expect([made.status, made.body.detail]).toEqual([201, undefined]);
      expect((await api.call('DELETE', `${PUBLICATIONS}/${encodeURIComponent(name)}`)).status).toBe(204);
      drops++;
    });
    await server.withSession(DATABASE, async (session) => {
      const [row] = await session.rows<{ drops: string; members: string }>(
        'select count(*) as drops, sum(members) as members from public.drops',
      );
      expect(row).toEqual({ drops: String(drops), members: '0' });
    });
  });

  it('a PATCH that changes or empties a publication fails no writer either', async () => {
    const made = await api.post(PUBLICATIONS, { name: 'changing', target: targets[0] });
    expect(made.status).toBe(201);
    const changes = [
      { target: { kind: 'tables', tables: [] } },
      {
        target: {
          kind: 'tables',
          tables: tables.map((table) => ({ ...table, where: 'id > 0', columns: ['id', 'n'] })),
        },
      },
      { publish: ['insert', 'update'], target: targets.at(1) ?? { ...ofTables, tables: tables.slice(3) } },
      { target: targets[0], publish: ['insert', 'update', 'delete', 'truncate'] },
    ];
    await underWrites(async (round) => {
      const answer = await api.call('PATCH', `${PUBLICATIONS}/changing`, changes[round % changes.length]);
      expect([answer.status, answer.body.detail]).toEqual([200, undefined]);
    });
  });

  it('that fails gives the publication back what it published, and says so', async () => {
    const made = [
      { name: 'by table', target: { kind: 'tables', tables: [{ ...tables[0], columns: ['id'], where: '(id > 0)' }] } },
      { name: 'by schema', target: { kind: 'schemas', schemas: ['other'], tables: tables.slice(0, 2) } },
    ].slice(0, OWNER_LOGIN === null ? 2 : 1);
    for (const body of made) expect((await api.post(PUBLICATIONS, body)).status).toBe(201);
    const targets = async () =>
      Promise.all(made.map(async ({ name }) => (await api.get(`${PUBLICATIONS}/${encodeURI(name)}`)).body.target));
    const before = await targets();
    await server.run(
      DATABASE,
      `create function refuse() returns event_trigger language plpgsql as $$ begin
         raise exception 'not now' using errcode = '55006'; end $$;
       create event trigger refuse on ddl_command_start when tag in ('DROP PUBLICATION') execute function public.refuse()`,
    );
    for (const { name } of made) {
      const answer = await api.call('DELETE', `${PUBLICATIONS}/${encodeURI(name)}`);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.body).toMatchObject({ sqlstate: '55006', hint: expect.stringContaining('publishes again') });
    }
    expect(await targets()).toEqual(before);
    // Nor can it be given back: the problem says what it was.
    await server.run(
      DATABASE,
      `create or replace function refuse() returns event_trigger language plpgsql as $$ begin
         perform pg_terminate_backend(pg_backend_pid()); end $$;
       create function keep() returns event_trigger language plpgsql as $$ begin
         if exists (select from pg_publication p where p.pubname = 'by table'
                     and not exists (select from pg_publication_rel r where r.prpubid = p.oid)) then
           raise exception 'never'; end if; end $$;
       create event trigger keep on ddl_command_start when tag in ('ALTER PUBLICATION') execute function public.keep()`,
    );
    const lost = await api.call('DELETE', `${PUBLICATIONS}/by%20table`);
    expect(lost.status).toBeGreaterThanOrEqual(500);
    expect(lost.body).toMatchObject({
      detail: expect.stringContaining('publishes nothing now'),
      hint: expect.stringContaining('create publication "by table" for table'),
      was: [expect.stringContaining('where')],
    });
  });

  it('a dry run shows every statement, in order, and drops nothing', async () => {
    if (OWNER_LOGIN === null) {
      const target = { kind: 'schemas', schemas: ['other'], tables: tables.slice(0, 2) };
      await api.post(PUBLICATIONS, { name: 'kept', target });
      await api.post(PUBLICATIONS, { name: 'all', target: { kind: 'allTables' } });
    } else {
      // Superusers alone make such, and may give them away.
      await server.run(DATABASE, 'create publication kept for tables in schema other, table t0, t1');
      await server.run(DATABASE, 'create publication "all" for all tables');
    }
    const answer = await api.call('DELETE', `${PUBLICATIONS}/kept?dryRun=true`);
    expect([answer.status, answer.body.statements.map(({ sql }: { sql: string }) => sql)]).toEqual([
      200,
      [
        'alter publication "kept" drop table only "public"."t0", only "public"."t1"',
        'alter publication "kept" drop tables in schema "other"',
        'drop publication "kept"',
      ],
    ]);
    expect((await api.get(`${PUBLICATIONS}/kept`)).body.target).toMatchObject({ schemas: ['other'] });
    const all = await api.call('DELETE', `${PUBLICATIONS}/all?dryRun=true`);
    expect(all.body.statements).toMatchObject([{ sql: 'drop publication "all"' }]);
  });
});
