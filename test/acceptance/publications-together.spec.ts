import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { identifier } from '../../src/postgres/quoting.js';
import { Network } from '../support/network.js';
import { LinkEnds } from './link-ends.js';

const TABLES = `
  create table filtered (id int primary key, a int);
  create table listed (id int primary key, a int, b int);
  create table plain (id int primary key);
  create table guarded (id int primary key, tenant text)`;

describe.each([
  [15, 18],
  [18, 14],
  [17, 16],
] as const)('publications of one subscription that do not send a table alike, %i -> %i', (from, to) => {
  const database = `together_${from}_${to}`;
  const low = `together_${from}_${to}`;
  const base = `/v1/servers/sink/databases/${database}/subscriptions`;
  const path = `${base}/mine`;
  let ends: LinkEnds;

  beforeAll(async () => {
    ends = await LinkEnds.start(database, [from, to], TABLES);
    await ends.onPublisher(
      `create role ${low} login replication password 'a-secret'; grant select on all tables in schema public to ${low};
       create publication narrow for table filtered where (id > 10), listed (id, a);
       create publication every for table filtered, listed (a, id);
       create publication whole for table listed;
       create publication grows for table plain;
       alter table guarded enable row level security; create policy mine on guarded using (tenant = 'a')`,
    );
    await ends.register('low', { ...ends.publisher.target(), user: low, password: 'a-secret' });
  }, 60_000);
  afterAll(async () => {
    await ends?.api.call('DELETE', path);
    await ends?.stop();
    await ends?.publisher.run(database, `drop owned by ${low}; drop role ${low}`).catch(() => {});
  }, 60_000);

  const asked = (publications: string[]) => ({
    ...{ name: 'mine', publisher: { server: 'low', database }, publications },
    options: { slotName: database },
  });
  const ored = [{ rule: 'filters-are-ored', option: null, detail: expect.stringContaining('"public"."filtered"') }];
  const otherColumns = {
    status: 409,
    body: {
      ...{ code: 'PREREQUISITE_FAILED', rule: 'same-columns-everywhere' },
      ...{ errors: [{ pointer: '#/publications' }], tables: [{ schema: 'public', name: 'listed' }] },
    },
  };
  const slots = async () => {
    const { items } = (await ends.api.get('/v1/servers/low/replication-slots')).body;
    return (items as { name: string }[]).map(({ name }) => name).filter((name) => name === database);
  };

  it('the publisher indeed refuses to send it with other columns', async () => {
    await ends.publisher.withSession(database, async (session) => {
      const slot = `${database}_read`;
      await session.rows(`select pg_create_logical_replication_slot($1, 'pgoutput', true)`, [slot]);
      await session.execute('set synchronous_commit = on; insert into public.listed values (1, 1, 1)');
      const changes = (...publications: string[]) =>
        session.rows(
          `select data from pg_logical_slot_peek_binary_changes($1, null, null,
             'proto_version', '1', 'publication_names', $2)`,
          [slot, publications.join()],
        );
      // The order in which a list names its columns means nothing.
      expect((await changes('narrow', 'every')).length).toBeGreaterThan(0);
      await expect(changes('narrow', 'whole')).rejects.toThrow('cannot use different column lists');
    });
  });

  it('is refused to be made where columns differ, and warned of where filters do', async () => {
    for (const dry of ['?dryRun=true', '']) {
      expect(await ends.api.post(`${base}${dry}`, asked(['narrow', 'whole']))).toMatchObject(otherColumns);
    }
    expect(await slots()).toEqual([]);
    const one = await ends.api.post(`${base}?dryRun=true`, asked(['narrow']));
    expect([one.status, one.body.warnings.filter(isOred)]).toEqual([200, []]);
    const both = await ends.api.post(`${base}?dryRun=true`, asked(['narrow', 'every']));
    expect([both.status, both.body.warnings.filter(isOred)]).toMatchObject([200, ored]);
    const created = await ends.api.post(base, asked(['narrow', 'grows']));
    expect(created.status).toBe(201);
  }, 60_000);

  /** By a connection string of `user`. */
  const raw = (publications: string[], user: string, password: string, options: object = {}) => {
    const { host, port } = ends.publisher;
    const connection = `host=${host} port=${port} user=${user} password=${password} dbname=${database} sslmode=disable`;
    const { publisher: _registered, ...rest } = asked(publications);
    return { ...rest, name: 'raw', connection, options: { slotName: `${database}_raw`, ...options } };
  };
  const plan = (body: object) => ends.api.post(`${base}?dryRun=true`, body);

  it('the same by a connection string that leads to a registered server', async () => {
    for (const dry of ['?dryRun=true', '']) {
      expect(await ends.api.post(`${base}${dry}`, raw(['narrow', 'whole'], low, 'a-secret'))).toMatchObject(
        otherColumns,
      );
    }
    const both = await plan(raw(['narrow', 'every'], low, 'a-secret'));
    expect([both.status, both.body.warnings.filter(isOred)]).toMatchObject([200, ored]);
    expect(both.body.tables).toMatchObject({
      added: [{ name: 'filtered' }, { name: 'listed' }],
      copy: { tables: 2 },
      reason: null,
    });
    // What the publisher lacks may still come.
    const early = await plan(raw(['narrow', 'late'], low, 'a-secret'));
    expect([early.status, early.body.warnings]).toMatchObject([
      200,
      expect.arrayContaining([
        { rule: 'publications-exist', option: null, detail: expect.stringContaining('no publication "late"') },
      ]),
    ]);
    expect(early.body.warnings.filter(({ rule }: { rule: string }) => rule === 'publications-exist')).toHaveLength(1);
  }, 60_000);

  it('tells of row security for the login of the connection string, whoever is registered', async () => {
    await ends.onPublisher('create publication guards for table guarded');
    const { user, password } = ends.publisher;
    const hides = async (body: object) => {
      const { status, body: answer } = await plan(body);
      expect(status).toBe(200);
      return (answer.warnings as { rule: string; detail: string }[])
        .filter(({ rule }) => rule === 'copy-sees-all-rows')
        .map(({ detail }) => detail);
    };
    // Registered are both logins; the string says which it is.
    const [cut, ...more] = await hides(raw(['guards'], low, 'a-secret'));
    expect(more).toEqual([]);
    expect(cut).toContain(`row security of the publisher holds ${identifier(low)}`);
    expect(cut).toContain('lacks what policies hide, without an error');
    expect(await hides(raw(['guards'], low, 'a-secret', { copyData: false }))).toEqual([]);
    expect(await hides(raw(['guards'], user, password))).toEqual([]);
  }, 60_000);

  it('a publisher that does not answer is no reason to refuse: what could not be looked at is said', async () => {
    const network = await Network.to(ends.publisher.port);
    try {
      await ends.register('far', { ...ends.publisher.target(), port: network.port });
      const body = raw(['narrow', 'whole'], low, 'a-secret');
      const led = { ...body, connection: body.connection.replace(/port=\d+/, `port=${network.port}`) };
      await network.cut();
      const { status, body: answer } = await plan(led);
      expect(status).toBe(200);
      expect(answer.warnings).toEqual([
        { rule: 'publisher-looked-at', option: null, detail: expect.stringContaining('the publisher far') },
      ]);
      expect(answer.tables).toMatchObject({ added: null, reason: expect.stringContaining('the publisher far') });
    } finally {
      await ends.api.call('DELETE', '/v1/servers/far');
      await network.cut();
    }
  }, 60_000);

  it('the same where publications join, and the subscription stays as it was', async () => {
    for (const dry of ['?dryRun=true', '']) {
      const refused = await ends.api.call('PATCH', `${path}${dry}`, { addPublications: ['whole'] });
      expect(refused).toMatchObject(otherColumns);
    }
    expect((await ends.api.get(path)).body.publications).toEqual(['narrow', 'grows']);
    const dry = await ends.api.call('PATCH', `${path}?dryRun=true`, { addPublications: ['every'] });
    expect([dry.status, dry.body.warnings]).toMatchObject([200, ored]);
    const patched = await ends.api.call('PATCH', path, { addPublications: ['every'] });
    expect([patched.status, patched.body.warnings.filter(isOred)]).toMatchObject([200, ored]);
    expect((await ends.api.get(path)).body.publications).toEqual(['narrow', 'grows', 'every']);
  }, 60_000);

  it('a table that joins and hides rows from the login is warned of before it is taken up', async () => {
    await ends.onPublisher('alter publication grows add table guarded');
    const hidden = [
      { rule: 'copy-sees-all-rows', option: 'copyData', detail: expect.stringContaining(identifier(low)) },
    ];
    const hides = ({ rule }: { rule: string }) => rule === 'copy-sees-all-rows';
    const refresh = (query: string, body: object) => ends.api.post(`${path}/refresh${query}`, body);
    const dry = await refresh('?dryRun=true', {});
    expect([dry.status, dry.body.warnings.filter(hides)]).toMatchObject([200, hidden]);
    const uncopied = await refresh('?dryRun=true', { copyData: false });
    expect([uncopied.status, uncopied.body.warnings.filter(hides)]).toEqual([200, []]);
  }, 60_000);

  it('one that came to differ by itself is told when it is refreshed, and lets others leave', async () => {
    await ends.onPublisher('alter publication every set table filtered, listed (id)');
    const dry = await ends.api.post(`${path}/refresh?dryRun=true`, {});
    const told = [{ rule: 'same-columns-everywhere', detail: expect.stringContaining('"public"."listed"') }];
    const tells = ({ rule }: { rule: string }) => rule === 'same-columns-everywhere';
    expect([dry.status, dry.body.warnings.filter(tells)]).toMatchObject([200, told]);
    // From 15 on the subscriber itself asks, and refuses.
    const done = await ends.api.post(`${path}/refresh`, {});
    expect(done).toMatchObject(to >= 15 ? otherColumns : { status: 200 });
    const leaving = { removePublications: ['grows'], options: { synchronousCommit: 'local' } };
    const rehearsed = await ends.api.call('PATCH', `${path}?dryRun=true`, leaving);
    expect([rehearsed.status, rehearsed.body.warnings.filter(tells)]).toMatchObject([200, told]);
    if (to >= 15) {
      const { status, body } = await ends.api.call('PATCH', path, leaving);
      expect({ status, body }).toMatchObject(otherColumns);
      expect(body.done).toEqual([expect.stringContaining('synchronous_commit')]);
    }
    expect((await ends.api.post(`${path}/disable`)).status).toBe(200);
    const left = await ends.api.call('PATCH', path, { removePublications: ['grows'] });
    expect([left.status, left.body.publications]).toEqual([200, ['narrow', 'every']]);
    const joined = await ends.api.call('PATCH', path, { addPublications: ['whole'] });
    expect(joined.status).toBe(200);
  }, 60_000);

  const isOred = ({ rule }: { rule: string }) => rule === 'filters-are-ored';
});
