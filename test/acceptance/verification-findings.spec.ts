import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Module } from '@nestjs/common';
import { ApiModule } from '../../src/api/api.module.js';
import { ConfigModule } from '../../src/config/config.module.js';
import { EngineModule } from '../../src/engine/engine.module.js';
import { ObservabilityModule } from '../../src/observability/observability.module.js';
import { OperationsApiModule } from '../../src/operations/operations-api.module.js';
import { StorageModule } from '../../src/storage/storage.module.js';
import { VerificationModule } from '../../src/verification/verification.module.js';
import type { DifferenceDto, VerificationDto } from '../../src/verification/verification.dto.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

@Module({
  imports: [
    ...[ConfigModule, ObservabilityModule, StorageModule, ApiModule],
    ...[EngineModule, OperationsApiModule, VerificationModule],
  ],
})
class App {}

const ODD = `Odd "t" ü`;
const QUOTED = `"Odd ""t"" ü"`;
const SCHEMA = `
  create table ${QUOTED} (id int primary key, "No, ""te""" text);
  create table plain (id int primary key, note text);
  create sequence counted; create sequence still;`;
const SECRET = 'Müller, "Anna"\nline two';

describe.each([
  [14, 18],
  [18, 15],
  [17, 16],
] as const)('what a verification finds, %i -> %i', (from, to) => {
  const database = `findings_${from}_${to}`;
  let publisher: TestServer;
  let subscriber: TestServer;
  let state: TestServer;
  let api: ApiUnderTest;
  let subscription: string;

  beforeAll(async () => {
    [publisher, subscriber, state] = await Promise.all([
      TestServer.shared(from),
      TestServer.shared(to),
      TestServer.shared(18),
    ]);
    for (const server of [publisher, subscriber]) {
      await server.freshDatabase(database);
      await server.run(database, SCHEMA);
    }
    await publisher.run(
      database,
      `insert into ${QUOTED} select n, 'n' || n from generate_series(1, 1200) n;
       insert into plain select n, 'p' from generate_series(1, 100) n; select nextval('counted');
       create publication p for table ${QUOTED}, plain`,
    );
    api = await ApiUnderTest.start(state, await state.freshDatabase(`${database}_state`), { root: App });
    for (const [name, { host, port, user, password }] of Object.entries({ source: publisher, sink: subscriber })) {
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      expect((await api.post('/v1/servers', body)).status).toBe(201);
    }
    subscription = `/v1/servers/sink/databases/${database}/subscriptions`;
    const created = await api.post(subscription, {
      name: 'follows',
      publisher: { server: 'source', database },
      publications: ['p'],
      options: { slotName: database },
    });
    if (created.status !== 201) throw new Error(created.text);
    subscription += '/follows';
    await eventually(async () => (await api.get(subscription)).body.state === 'streaming', { within: 60_000 });
  }, 120_000);
  afterAll(async () => {
    await api?.call('DELETE', subscription);
    await api?.stop();
    for (const server of [publisher, subscriber, state]) await server?.stop();
  }, 60_000);

  const begin = async (more: object = {}): Promise<string> => {
    const body = { kind: 'at-rest', subscriber: { server: 'sink', database, subscription: 'follows' }, ...more };
    const { status, text, body: created } = await api.post('/v1/verifications', body);
    if (status !== 202) throw new Error(text);
    return (created as VerificationDto).id;
  };
  const look = async (id: string) => (await api.get(`/v1/verifications/${id}`)).body as VerificationDto;
  const ended = (id: string) =>
    eventually(
      async () => {
        const found = await look(id);
        return ['succeeded', 'failed', 'cancelled'].includes(found.state) && found;
      },
      { within: 90_000, every: 100 },
    );

  it('waits for a subscriber that is far behind, says so, and goes on once it has caught up', async () => {
    await api.post(`${subscription}/disable`);
    await publisher.run(
      database,
      `update plain set note = 'q' where id > 50; select pg_logical_emit_message(true, 'lockstep test', repeat('x', 500000))`,
    );
    const id = await begin({ pacing: { maxLagBytes: 100_000 } });
    const waits = await eventually(
      async () => {
        const found = await look(id);
        return found.waitsFor !== null && found;
      },
      { within: 30_000 },
    );
    expect(waits).toMatchObject({ state: 'running', waitsFor: 'the subscriber to be less than 100000 bytes behind' });
    expect((await api.get(`/v1/operations/${id}`)).body.progress).toMatchObject({
      message: expect.stringContaining('waits for the subscriber'),
    });
    const other = await begin({ pacing: { maxLagBytes: 100_000 } });
    await eventually(async () => (await look(other)).waitsFor !== null, { within: 30_000 });
    expect((await api.post(`/v1/verifications/${other}/cancel`)).status).toBe(202);
    expect(await ended(other)).toMatchObject({ state: 'cancelled', verdict: null });
    await api.post(`${subscription}/enable`);
    expect(await ended(id)).toMatchObject({ state: 'succeeded', verdict: 'equal', waitsFor: null });
  }, 150_000);

  it('is listed, filtered, redacted and exported, with schema and sequences beside it', async () => {
    const equal = await ended(await begin({ pacing: { mostRows: 100, chunkSeconds: 1 } }));
    expect(equal).toMatchObject({
      verdict: 'equal',
      singleLsn: false,
      schema: { state: 'none', found: 0 },
      sequences: {
        ...{ state: 'different', compared: 2, verdicts: { equal: 1, behind: 1 } },
        listed: [{ name: 'counted', verdict: 'behind', publisher: { lastValue: '1', isCalled: true } }],
      },
    });
    await subscriber.run(
      database,
      `update ${QUOTED} set "No, ""te""" = $x$${SECRET}$x$ where id = 7; delete from ${QUOTED} where id = 1100;
       update plain set note = null where id = 3; insert into plain values (-1, ''); alter table plain add check (id < 1000)`,
    );
    const id = await begin({ pacing: { mostRows: 100, chunkSeconds: 1 } });
    const found = await ended(id);
    expect(found).toMatchObject({
      verdict: 'different',
      counters: { findings: 4 },
      schema: { state: 'drifted', found: 1, findings: [{ kind: 'check-constraint', table: { name: 'plain' } }] },
    });
    const path = `/v1/verifications/${id}/differences`;
    const list = async (query = '') => {
      const { status, text, body } = await api.get(`${path}${query}`);
      expect([status, text]).toEqual([200, expect.anything()]);
      return body as { items: DifferenceDto[]; nextCursor: string | null };
    };
    const { items } = await list();
    expect(items.map(({ table, kind, key }) => [table, kind, key?.id]).sort()).toEqual([
      [ODD, 'different', '7'],
      [ODD, 'missing', '1100'],
      ['plain', 'different', '3'],
      ['plain', 'extra', '-1'],
    ]);
    const odd = encodeURIComponent(ODD);
    expect((await list(`?table=${odd}&kind=missing`)).items).toMatchObject([{ table: ODD, key: { id: '1100' } }]);
    expect((await list('?schema=nowhere')).items).toEqual([]);
    const first = await list('?table=plain&limit=1');
    const second = await list(`?table=plain&limit=1&cursor=${first.nextCursor}`);
    expect([...first.items, ...second.items].map(({ table }) => table)).toEqual(['plain', 'plain']);
    expect(second.nextCursor).toBeNull();

    const json = await api.get(`${path}.json`);
    expect(json.body).toEqual(items);
    const csv = await api.get(`${path}.csv?table=${odd}&kind=different`);
    expect(csv.headers.get('content-type')).toContain('text/csv');
    expect(csv.headers.get('content-disposition')).toContain(`differences-${id}.csv`);
    expect(csv.text.split('\r\n').slice(1).join('\r\n')).toMatch(
      /^public,"Odd ""t"" ü",different,"\{""id"":""7""\}",1,"No, ""te""",n7,"Müller, ""Anna""\nline two",[0-9A-F]+\/[0-9A-F]+\r\n$/,
    );
    const plain = (await api.get(`${path}.csv?table=plain`)).text;
    expect(plain).toMatch(/different,"\{""id"":""3""\}",1,note,p+,,/);
    expect(plain).toMatch(/extra,"\{""id"":""-1""\}",1,note,,"",/);

    const hash = expect.stringMatching(/^hash:[0-9a-f]{32}$/);
    for (const answer of [await api.get(`${path}?values=hash`), await api.get(`${path}.json?values=hash`)]) {
      expect(answer.text).not.toContain('Anna');
      expect(answer.text).not.toContain('1100');
      const redacted = (answer.body.items ?? answer.body) as DifferenceDto[];
      expect(redacted).toHaveLength(4);
      const of7 = redacted.find(({ table, kind }) => table === ODD && kind === 'different')!;
      expect(of7).toMatchObject({
        key: { id: hash },
        columns: [{ name: 'No, "te"', publisher: hash, subscriber: hash }],
      });
    }
    expect((await api.get(`${path}.csv?values=hash`)).text).not.toContain('Anna');
    const refused = await api.get(`${path}?values=secret&kind=odd`);
    expect(refused).toMatchObject({ status: 400, body: { errors: expect.arrayContaining([expect.anything()]) } });
    expect((await api.get('/v1/verifications/00000000-0000-4000-8000-000000000000/differences.csv')).status).toBe(404);
  }, 180_000);

  it('refuses pacing of what is compared at one LSN', async () => {
    const body = { kind: 'at-rest', subscriber: { server: 'sink', database, subscription: 'follows' } };
    expect(await api.post('/v1/verifications', { ...body, singleLsn: true, pacing: { mostRows: 100 } })).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: '#/pacing' }] },
    });
    expect(await api.post('/v1/verifications', { ...body, pacing: { mostRows: 1 } })).toMatchObject({
      status: 400,
      body: { errors: [{ pointer: '#/pacing/mostRows' }] },
    });
  });
});
