import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { OWNER_LOGIN } from '../support/owner-login.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';
import { operationEnds } from '../support/upgrade-proof.js';

const PATHS = [
  [14, 18],
  [18, 14],
  [16, 17],
].filter((path) => path.every((major) => AVAILABLE_MAJORS.includes(major))) as [number, number][];

/** Every one is at once the name of a database, schema, table, column, sequence, role, publication and subscription. */
const NAMES = [
  `Comma, "quote", 'single'`,
  ' blanks around ',
  `${'x'.repeat(60)}€`,
  '%2F/..%00?#&=+;--',
  'line\nbreak\ttab $1 :y {{z}} null',
  `${'🐘'.repeat(15)}ABC`,
];
const TOO_LONG = [`x${'é'.repeat(31)}y`, `${'x'.repeat(61)}€`];
const SOURCE = 'Source, "é" /%2F?';
const SINK = ' sink ';

describe.each(PATHS)('names that need care, through every route: %i -> %i', (from, to) => {
  const at = (...names: string[]) => names.map((name) => encodeURIComponent(name)).join('/');
  const base = (server: string, database: string) => `/v1/servers/${at(server)}/databases/${at(database)}`;
  const q = (name: string) => `"${name.replaceAll('"', '""')}"`;
  let lockstep: Lockstep;
  let publisher: TestServer;
  let subscriber: TestServer;

  beforeAll(async () => {
    [publisher, subscriber] = [await TestServer.shared(from), await TestServer.shared(to)];
    lockstep = await Lockstep.start();
    for (const [name, { host, port, user, password }] of [
      [SOURCE, publisher],
      [SINK, subscriber],
    ] as const) {
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      await lockstep.ok('POST', '/v1/servers', body);
    }
  }, 120_000);

  afterAll(async () => {
    await lockstep?.dispose();
    await publisher?.stop();
    await subscriber?.stop();
  });

  async function databasesOf(name: string): Promise<void> {
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(name);
      await server.run(
        name,
        `do $do$ begin create role ${q(name)}; exception when duplicate_object then null; end $do$;
         grant create on database ${q(name)} to ${q(name)};
         ${OWNER_LOGIN === null ? '' : `grant ${q(name)} to ${q(OWNER_LOGIN.user)};`}
         create schema ${q(name)};
         create table ${q(name)}.${q(name)} (id int primary key, ${q(name)} int not null);
         create schema seqs; create sequence seqs.${q(name)};
         create schema idx; create table idx.t (a int not null); create unique index ${q(name)} on idx.t (a)`,
      );
    }
    await publisher.run(name, `select setval('seqs.${q(name).replaceAll("'", "''")}', 41)`);
  }

  async function diagnosedAndCopiedAfresh(name: string, subscription: string): Promise<void> {
    // A row that is there already: the stream is read by our own command, which quotes the publication twice.
    await subscriber.run(name, `insert into ${q(name)}.${q(name)} values (7, 7)`);
    await publisher.run(name, `insert into ${q(name)}.${q(name)} values (7, 8)`);
    interface Diagnosis {
      transaction: { finishLsn: string } | null;
    }
    const stuck = await eventually(
      async () => (await lockstep.ok<Diagnosis>('POST', `${subscription}/diagnose`)).transaction,
      { within: 30_000 },
    );
    expect(stuck).toMatchObject({ changes: [{ schema: name, table: name, key: { id: '7' } }] });
    if (to >= 15) {
      const skip = { lsn: stuck.finishLsn };
      const lost = { changes: [{ schema: name, table: name, key: { id: '7' } }] };
      expect(await lockstep.ok('POST', `${subscription}/skip?dryRun=true`, skip)).toMatchObject({ lost });
      expect(await lockstep.ok('POST', `${subscription}/skip`, skip)).toMatchObject({ name, lost });
    } else {
      await subscriber.run(name, `delete from ${q(name)}.${q(name)} where id = 7`);
    }
    await eventually(
      async () => (await lockstep.ok<Diagnosis>('POST', `${subscription}/diagnose`)).transaction === null,
      { within: 30_000 },
    );
    const value = () =>
      subscriber.withSession(name, async (session) => {
        const { is } = await session.row<{ is: number }>(
          `select ${q(name)} as is from ${q(name)}.${q(name)} where id = 7`,
        );
        return is;
      });
    // What was skipped is lost, what was retried is there.
    await eventually(async () => (await value()) === (to >= 15 ? 7 : 8), { within: 20_000 });
    // A table of which only inserts are published is not copied afresh.
    if (from >= 15) return;
    // Refused until the worker is seen to be back.
    const resync = await eventually(
      async () => {
        const path = `${subscription}/tables/${at(name, name)}/resync`;
        const { status, body } = await lockstep.request<{ id: string }>('POST', path);
        return status === 202 ? body : null;
      },
      { within: 30_000 },
    );
    await operationEnds(lockstep, resync.id);
    expect(await lockstep.ok('GET', `/v1/operations/${resync.id}`)).toMatchObject({ state: 'succeeded' });
    expect(await value()).toBe(8);
  }

  it.each(NAMES)('%j', async (name) => {
    await databasesOf(name);
    const [there, here] = [base(SOURCE, name), base(SINK, name)];
    const listed = from >= 15 ? { columns: ['id', name], where: `${q(name)} > 0` } : {};
    const publish = from >= 15 ? ['insert'] : ['insert', 'update', 'delete'];
    const body = { name, publish, target: { kind: 'tables', tables: [{ schema: name, name, ...listed }] } };
    await lockstep.ok('POST', `${there}/publications?dryRun=true`, body);
    const created = await lockstep.request('POST', `${there}/publications`, body);
    expect(created).toMatchObject({ status: 201, body: { name } });
    const publication = `${there}/publications/${at(name)}`;
    expect(created.headers.get('location')).toBe(publication);
    expect(await lockstep.ok('GET', publication)).toEqual(created.body);
    expect(await lockstep.ok('PATCH', publication, created.body)).toEqual(created.body);
    expect(await lockstep.ok('PATCH', publication, { owner: name, name: 'plain' })).toMatchObject({ owner: name });
    const renamed = await lockstep.ok('PATCH', `${there}/publications/plain`, { name });
    expect(renamed).toEqual({ ...created.body, owner: name, warnings: expect.any(Array) });
    expect(await lockstep.ok('GET', `${there}/publications`)).toMatchObject({ items: [{ name }] });
    expect(await lockstep.ok('GET', `${publication}/tables`)).toMatchObject({
      items: [{ schema: name, name, columns: ['id', name] }],
    });

    const slotName = `odd_${from}_${NAMES.indexOf(name)}`;
    const subscribe = {
      ...{ name, publisher: { server: SOURCE, database: name }, publications: [name] },
      options: { slotName },
    };
    await lockstep.ok('POST', `${here}/subscriptions?dryRun=true`, subscribe);
    const subscribed = await lockstep.request('POST', `${here}/subscriptions`, subscribe);
    expect(subscribed).toMatchObject({ status: 201, body: { name, publications: [name] } });
    const subscription = `${here}/subscriptions/${at(name)}`;
    expect(subscribed.headers.get('location')).toBe(subscription);
    await publisher.run(name, `insert into ${q(name)}.${q(name)} values (1, 1), (2, 2)`);
    await eventually(
      async () => {
        const { state, tables } = await lockstep.ok<{ state: string; tables: { state: string }[] }>(
          'GET',
          subscription,
        );
        return state === 'streaming' && tables.every((table) => table.state === 'ready');
      },
      { within: 30_000 },
    );
    expect(await lockstep.ok('GET', subscription)).toMatchObject({
      publisher: { server: SOURCE, database: name },
      tables: [{ schema: name, name, state: 'ready' }],
      slot: { name: slotName, database: name },
    });
    expect(await lockstep.ok('POST', `${subscription}/refresh?dryRun=true`)).toMatchObject({
      tables: { added: [], removed: [] },
    });
    await lockstep.ok('POST', `${subscription}/refresh`, { copyData: false });
    const slot = `/v1/servers/${at(SOURCE)}/replication-slots/${slotName}`;
    expect(await lockstep.ok('GET', slot)).toMatchObject({ owner: { kind: 'subscription', name, server: SINK } });

    const link = `/v1/links/${at(SINK, name, name)}`;
    expect(await lockstep.ok('GET', link)).toMatchObject({
      subscriber: { server: SINK, database: name, subscription: name },
      publisher: { server: SOURCE, database: name, publications: [name] },
    });
    expect(await lockstep.ok('GET', `${link}/drift`)).toMatchObject({
      ...{ state: 'none', subscriber: { server: SINK, database: name, subscription: name } },
      fingerprints: { publisher: expect.any(String), subscriber: expect.any(String) },
    });
    expect(
      await lockstep.ok('POST', `${link}/sequences/sync`, { sequences: [{ schema: 'seqs', name }] }),
    ).toMatchObject({
      moved: [{ schema: 'seqs', name, to: { lastValue: '41' } }],
    });
    expect(await lockstep.ok('GET', `${here}/sequences/seqs/${at(name)}`)).toMatchObject({ name, lastValue: '41' });
    const table = `${there}/tables/${at(name, name)}`;
    expect(await lockstep.ok('GET', table)).toMatchObject({ schema: name, name });
    expect(await lockstep.ok('PUT', `${table}/replica-identity`, { kind: 'default' })).toMatchObject({ name });
    const indexed = { kind: 'index', index: name };
    expect(await lockstep.ok('PUT', `${there}/tables/idx/t/replica-identity`, indexed)).toMatchObject({
      replicaIdentity: indexed,
    });

    // Every name where all of it is there: to skip a transaction takes a subscriber of 15, to copy afresh one that gets updates.
    if (name === NAMES[0] || (from < 15 && to >= 15)) await diagnosedAndCopiedAfresh(name, subscription);

    await lockstep.ok('POST', `${subscription}/disable`);
    expect(await lockstep.ok('PATCH', subscription, { name: 'plain' })).toMatchObject({ name: 'plain' });
    expect(await lockstep.ok('PATCH', `${here}/subscriptions/plain`, { name })).toMatchObject({ name });
    await lockstep.ok('POST', `${subscription}/enable`);
    await lockstep.ok('DELETE', `${subscription}?slot=keep`);
    expect((await lockstep.request('GET', subscription)).status).toBe(404);
    const { items } = await lockstep.ok<{ items: { slot: string; cleanUp: { path: string } }[] }>(
      'GET',
      '/v1/orphaned-slots',
    );
    const left = items.find((item) => item.slot === slotName);
    expect(left).toMatchObject({
      publisher: { server: SOURCE, database: name },
      subscriber: { server: SINK, database: name, subscription: name },
      cleanUp: { path: slot },
    });
    await eventually(async () => (await lockstep.request('DELETE', left!.cleanUp.path)).status === 204, {
      within: 10_000,
    });
    expect((await lockstep.request('DELETE', publication)).status).toBe(204);
    const audit = await lockstep.ok<{ items: { subject: string }[] }>(
      'GET',
      '/v1/audit-events?action=publications.drop',
    );
    expect(audit.items[0]!.subject).toContain(name);
  });

  it('a publication whose name holds a backslash is warned of, and refused to subscriptions: no worker can ask for it', async () => {
    const name = 'back\\slash';
    const [there, here] = [base(SOURCE, 'postgres'), base(SINK, 'postgres')];
    const created = await lockstep.ok('POST', `${there}/publications`, {
      name,
      target: { kind: 'tables', tables: [] },
    });
    expect(created.warnings).toMatchObject([{ rule: 'name-can-be-asked-for' }]);
    const body = { name: 'b', publisher: { server: SOURCE, database: 'postgres' }, publications: [name] };
    expect(await lockstep.request('POST', `${here}/subscriptions`, body)).toMatchObject({
      status: 400,
      body: { rule: 'name-can-be-asked-for', errors: [{ pointer: '#/publications/0' }] },
    });
    expect((await lockstep.request('DELETE', `${there}/publications/${at(name)}`)).status).toBe(204);
  });

  it('slots have 63 bytes of a-z, 0-9 and _', async () => {
    const [longest, second] = ['l'.repeat(63), `${'l'.repeat(62)}_`];
    const slots = `/v1/servers/${at(SOURCE)}/replication-slots`;
    const body = { name: longest, kind: 'logical', database: 'postgres' };
    const created = await lockstep.request('POST', slots, body);
    expect(created).toMatchObject({ status: 201, body: { name: longest } });
    expect(created.headers.get('location')).toBe(`${slots}/${longest}`);
    expect(await lockstep.ok('POST', `${slots}/${longest}/copy`, { name: second })).toMatchObject({ name: second });
    for (const slot of [longest, second]) {
      expect((await lockstep.request('DELETE', `${slots}/${slot}`)).status).toBe(204);
    }
    for (const name of ['l'.repeat(64), 'Upper', 'a-b', 'é', 'a b', '', 'none']) {
      const refused = await lockstep.request('POST', slots, { ...body, name });
      expect([name, refused.status, refused.body.errors]).toEqual([
        ...[name, 400, [{ pointer: '#/name', detail: expect.any(String) }]],
      ]);
    }
  });

  it.each([...TOO_LONG, 'half \ud83d of a pair'])(
    'refuses %j wherever a name is given, with the place',
    async (bad) => {
      const [there, here] = [base(SOURCE, 'postgres'), base(SINK, 'postgres')];
      const table = (more: object) => ({ kind: 'tables', tables: [{ schema: 'public', name: 't', ...more }] });
      const subscription = { name: 's', publisher: { server: SOURCE, database: 'postgres' }, publications: ['p'] };
      const bodies: [string, string, object, string][] = [
        ['POST', `${there}/publications`, { name: bad, target: table({}) }, '#/name'],
        ['POST', `${there}/publications`, { name: 'p', target: table({ schema: bad }) }, '#/target/tables/0/schema'],
        ['POST', `${there}/publications`, { name: 'p', target: table({ name: bad }) }, '#/target/tables/0/name'],
        [
          'POST',
          `${there}/publications`,
          { name: 'p', target: table({ columns: [bad] }) },
          '#/target/tables/0/columns',
        ],
        [
          'POST',
          `${there}/publications`,
          { name: 'p', target: { kind: 'schemas', schemas: [bad] } },
          '#/target/schemas',
        ],
        ['PATCH', `${there}/publications/p`, { owner: bad }, '#/owner'],
        ['PATCH', `${there}/publications/p`, { name: bad }, '#/name'],
        ['PATCH', `${there}/publications/p`, { addTables: [{ schema: 'public', name: bad }] }, '#/addTables/0/name'],
        ['PATCH', `${there}/publications/p`, { removeTables: [{ schema: bad, name: 't' }] }, '#/removeTables/0/schema'],
        ['PATCH', `${there}/publications/p`, { addSchemas: [bad] }, '#/addSchemas'],
        ['POST', `${here}/subscriptions`, { ...subscription, name: bad }, '#/name'],
        ['POST', `${here}/subscriptions`, { ...subscription, publications: [bad] }, '#/publications'],
        ['POST', `${here}/subscriptions`, { ...subscription, options: { slotName: bad } }, '#/options/slotName'],
        [
          ...(['POST', `${here}/subscriptions`] as const),
          { ...subscription, publisher: { server: SOURCE, database: bad } },
          '#/publisher/database',
        ],
        ['PATCH', `${here}/subscriptions/s`, { owner: bad }, '#/owner'],
        ['PATCH', `${here}/subscriptions/s`, { addPublications: [bad] }, '#/addPublications'],
        ['PUT', `${there}/tables/public/t/replica-identity`, { kind: 'index', index: bad }, '#/index'],
        [
          ...(['POST', `/v1/servers/${at(SOURCE)}/replication-slots`] as const),
          { name: 'x', kind: 'logical', database: bad },
          '#/database',
        ],
        [
          ...(['POST', `/v1/links/${at(SINK)}/postgres/s/sequences/sync`] as const),
          { sequences: [{ schema: 'public', name: bad }] },
          '#/sequences/0/name',
        ],
      ];
      for (const [method, path, body, pointer] of bodies) {
        const { status, body: problem } = await lockstep.request<{ errors?: { pointer: string }[] }>(
          method,
          path,
          body,
        );
        const pointers = problem.errors?.map((error) => error.pointer.slice(0, pointer.length));
        expect([method, path, pointer, status, pointers]).toEqual([method, path, pointer, 400, [pointer]]);
      }
      // What is no text at all cannot be percent-encoded either.
      if (!TOO_LONG.includes(bad)) return;
      const document = await lockstep.ok<{ paths: Record<string, Record<string, unknown>> }>('GET', '/openapi.json');
      const named = /\/(servers|links)\/\{server\}/;
      for (const [path, methods] of Object.entries(document.paths).filter(([each]) => named.test(each))) {
        for (const [parameter] of path.matchAll(/\{\w+\}/g)) {
          const filled = path.replace(parameter, at(bad)).replaceAll(/\{\w+\}/g, 'none');
          for (const method of Object.keys(methods)) {
            const { status, body } = await lockstep.request<{ errors?: object[] }>(method.toUpperCase(), filled);
            const place = { pointer: `path:${parameter.slice(1, -1)}`, detail: expect.stringContaining('63 bytes') };
            expect([method, path, status, body.errors?.[0]]).toEqual([method, path, 400, place]);
          }
        }
      }
    },
  );
});
