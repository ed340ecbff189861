import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { againstSchema, type Schema } from '../support/against-schema.js';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { TestServer } from '../support/postgres-fleet.js';

interface Content {
  content?: Record<string, { schema: Schema; examples?: Record<string, { value: Record<string, unknown> }> }>;
}
interface Document {
  paths: Record<string, Record<string, { requestBody?: Content; responses: Record<string, Content> }>>;
  components: { schemas: Record<string, Schema> };
}
interface Answer {
  name: string;
  state: string;
  verdict: string;
  transaction: { finishLsn: string };
  currentLsn: string;
}

const SCHEMA = `
  create table orders (id serial primary key, number text not null unique, ref text unique, total numeric);
  create table customers (id int primary key, name text);
  create table events (at timestamptz, what text);
  create sequence invoice_numbers;
  create schema sales;
  create table sales.leads (id int primary key);`;

const DATABASE = '/v1/servers/{server}/databases/{database}';
const SLOT = '/v1/servers/{server}/replication-slots/{slot}';
const SUBSCRIPTION = `${DATABASE}/subscriptions/{subscription}`;
const LINK = '/v1/links/{server}/{database}/{subscription}';

/** Servers and databases as the examples name them: they are sent as they are, and answers are of their schemas. */
describe('the examples of publications, subscriptions, slots, tables, sequences and links', () => {
  let lockstep: Lockstep;
  let document: Document;
  let publisher: TestServer;
  let subscriber: TestServer;

  beforeAll(async () => {
    publisher = await TestServer.start(14);
    subscriber = await TestServer.start(18);
    lockstep = await Lockstep.start();
    document = await lockstep.ok<Document>('GET', '/openapi.json');
    for (const [name, server] of Object.entries({ 'orders-14': publisher, 'orders-18': subscriber })) {
      await server.freshDatabase('orders');
      await server.run('orders', SCHEMA);
      const { host, port, user, password } = server;
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      await lockstep.ok('POST', '/v1/servers', body);
    }
  }, 120_000);
  afterAll(async () => {
    await lockstep?.dispose();
    for (const server of [publisher, subscriber]) await server?.stop();
  });

  /** Sends it to a route of the document, and holds the answer against its schema. */
  async function call(method: string, server: string, route: string, body?: object, query = ''): Promise<Answer> {
    const names: Record<string, string> = {
      ...{ server, database: 'orders', publication: 'orders_pub', subscription: 'orders_sub', slot: 'orders_watch' },
      ...{ schema: 'public', table: 'orders', sequence: 'orders_id_seq' },
    };
    const path = route.replaceAll(/\{(\w+)\}/g, (_all, name: string) => names[name]!);
    const answer = await lockstep.request<Answer>(method, `${path}${query}`, body);
    const asked = `${method} ${path}${query} ${JSON.stringify(body)}`;
    expect([asked, answer.status < 300 || answer.body]).toEqual([asked, true]);
    const { content } = document.paths[route]![method.toLowerCase()]!.responses[answer.status]!;
    const wrong =
      content && againstSchema(answer.body, content['application/json']!.schema, document.components.schemas);
    expect([asked, wrong ?? []]).toEqual([asked, []]);
    return answer.body;
  }

  /** As they are; an LSN, and where a publisher is, can only be those of the servers there are. */
  async function dryRuns(method: string, server: string, route: string, lsn?: string): Promise<void> {
    const { requestBody } = document.paths[route]![method.toLowerCase()]!;
    const examples = Object.values(requestBody!.content!['application/json']!.examples!);
    for (const { value } of examples) {
      const body: Record<string, unknown> = { ...value };
      if (typeof body.lsn === 'string' && lsn !== undefined) body.lsn = lsn;
      if (typeof body.connection === 'string') {
        const { host, port } = publisher;
        body.connection = body.connection.replace(/host='[^']*' port='\d+'/, `host='${host}' port='${port}'`);
      }
      await call(method, server, route, body, '?dryRun=true');
    }
  }

  it('of publications', async () => {
    await dryRuns('POST', 'orders-18', `${DATABASE}/publications`);
    const target = { kind: 'tables', tables: ['orders', 'customers'].map((name) => ({ schema: 'public', name })) };
    for (const server of ['orders-14', 'orders-18']) {
      await call('POST', server, `${DATABASE}/publications`, { name: 'orders_pub', target });
    }
    await call('POST', 'orders-14', `${DATABASE}/publications`, { name: 'billing_pub', target: { kind: 'allTables' } });
    await dryRuns('PATCH', 'orders-18', `${DATABASE}/publications/{publication}`);
    for (const query of ['?dryRun=true', '']) {
      await call('DELETE', 'orders-18', `${DATABASE}/publications/{publication}`, undefined, query);
    }
  });

  it('of replication slots', async () => {
    const slots = '/v1/servers/{server}/replication-slots';
    await dryRuns('POST', 'orders-18', slots);
    const { currentLsn } = await call('POST', 'orders-14', slots, {
      ...{ name: 'orders_watch', kind: 'logical', database: 'orders' },
    });
    await dryRuns('POST', 'orders-14', `${SLOT}/copy`);
    await dryRuns('POST', 'orders-14', `${SLOT}/advance`, currentLsn);
    await call('POST', 'orders-14', `${SLOT}/advance`, { lsn: currentLsn });
    await call('DELETE', 'orders-14', SLOT, undefined, '?dryRun=true');
  });

  it('of subscriptions', async () => {
    await dryRuns('POST', 'orders-18', `${DATABASE}/subscriptions`);
    await call('POST', 'orders-18', `${DATABASE}/subscriptions`, {
      ...{ name: 'orders_sub', publisher: { server: 'orders-14', database: 'orders' }, publications: ['orders_pub'] },
    });
    await eventually(async () => (await call('GET', 'orders-18', SUBSCRIPTION)).state === 'streaming', {
      within: 30_000,
    });
    await dryRuns('PATCH', 'orders-18', SUBSCRIPTION);
    await dryRuns('POST', 'orders-18', `${SUBSCRIPTION}/refresh`);
    for (const action of ['disable', 'enable', 'diagnose']) {
      await call('POST', 'orders-18', `${SUBSCRIPTION}/${action}`, undefined, '?dryRun=true');
      await call('POST', 'orders-18', `${SUBSCRIPTION}/${action}`);
    }
    await call('DELETE', 'orders-18', SUBSCRIPTION, undefined, '?dryRun=true');
    await call('POST', 'orders-18', `${SUBSCRIPTION}/tables/{schema}/{table}/resync`, undefined, '?dryRun=true');
  }, 120_000);

  it('of a subscription that is stuck', async () => {
    await subscriber.run('orders', `insert into orders (id, number) values (1, 'in the way')`);
    await publisher.run('orders', `insert into orders (id, number) values (1, 'on its way')`);
    const diagnosis = await eventually(
      async () => {
        const found = await call('POST', 'orders-18', `${SUBSCRIPTION}/diagnose`);
        return found.verdict === 'failing' ? found : null;
      },
      { within: 60_000 },
    );
    await dryRuns('POST', 'orders-18', `${SUBSCRIPTION}/skip`, diagnosis.transaction.finishLsn);
    await call('POST', 'orders-18', `${SUBSCRIPTION}/skip`, { lsn: diagnosis.transaction.finishLsn });
  }, 120_000);

  it('of tables, sequences and links', async () => {
    const identity = `${DATABASE}/tables/{schema}/{table}/replica-identity`;
    await dryRuns('PUT', 'orders-14', identity);
    await call('PUT', 'orders-14', identity, { kind: 'index', index: 'orders_number_key' });
    await publisher.run('orders', `select nextval('orders_id_seq'); select nextval('invoice_numbers')`);
    await dryRuns('POST', 'orders-18', `${LINK}/sequences/sync`);
    await call('POST', 'orders-18', `${LINK}/sequences/sync`);
  });

  it('and what is there is answered in the same form', async () => {
    const reading = Object.keys(document.paths).filter(
      (route) => document.paths[route]!.get && (route.startsWith(DATABASE) || route.startsWith(LINK) || route === SLOT),
    );
    expect(reading.length).toBeGreaterThan(12);
    const onPublisher = [`${DATABASE}/publications/{publication}`, SLOT];
    for (const route of reading) {
      const server = onPublisher.some((each) => route.startsWith(each)) ? 'orders-14' : 'orders-18';
      await call('GET', server, route);
    }
    for (const route of ['/v1/links', '/v1/servers/{server}/replication-slots']) await call('GET', 'orders-14', route);
    await publisher.stop();
    await call('GET', 'orders-18', SUBSCRIPTION);
    await call('GET', 'orders-18', LINK);
    await call('DELETE', 'orders-18', SUBSCRIPTION, undefined, '?slot=keep');
    await call('GET', 'orders-14', '/v1/orphaned-slots');
  }, 60_000);
});
