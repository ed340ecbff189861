import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { againstSchema, type Schema } from '../support/against-schema.js';
import { Lockstep } from '../support/lockstep.js';

interface Parameter {
  name: string;
  in: string;
  description?: string;
  schema?: Record<string, unknown>;
}
interface Operation {
  summary?: string;
  parameters?: Parameter[];
  responses: Record<string, { content?: Record<string, Shown> }>;
  requestBody?: { content: Record<string, Shown> };
}
interface Shown {
  schema?: Schema;
  example?: object;
  examples?: Record<string, { value: object }>;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}
interface Body {
  code?: string;
  detail?: string;
}

const NOWHERE = '00000000-0000-4000-8000-000000000000';

/** Rules that hold for every route there is, by the document that describes them: a new route cannot forget one. */
describe('every route', () => {
  let lockstep: Lockstep;
  let document: Document;
  let routes: { name: string; method: string; path: string; operation: Operation }[];

  beforeAll(async () => {
    lockstep = await Lockstep.start();
    document = await lockstep.ok<Document>('GET', '/openapi.json');
    routes = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        name: `${method.toUpperCase()} ${path}`,
        method: method.toUpperCase(),
        path: path.replaceAll(/\{id\}/g, NOWHERE).replaceAll(/\{\w+\}/g, 'none'),
        operation,
      })),
    );
  }, 120_000);
  afterAll(() => lockstep?.dispose());

  const mutations = () => routes.filter(({ method }) => method !== 'GET');
  const parameter = ({ parameters = [] }: Operation, where: string, name: string) =>
    parameters.find((each) => each.in === where && each.name === name);

  it('there are some', () => {
    expect(routes.length).toBeGreaterThan(50);
    expect(mutations().length).toBeGreaterThan(30);
  });

  it('that changes something has a dry run, and says what that answers', () => {
    const without = mutations().filter(({ operation }) => {
      const schema = operation.responses['200']?.content?.['application/json']?.schema;
      return parameter(operation, 'query', 'dryRun') === undefined || schema === undefined;
    });
    expect(without.map(({ name }) => name)).toEqual([]);
  });

  it('that changes something does the dry run it documents, and takes no Idempotency-Key for it', async () => {
    for (const { name, method, path } of mutations()) {
      const typo = await lockstep.request<Body>(method, `${path}?dryrun=true`, {});
      expect([name, typo.body.detail]).toEqual([name, expect.stringContaining('query:dryrun')]);
      const key = { 'Idempotency-Key': 'the-same-for-all' };
      const answer = await lockstep.request<Body>(method, `${path}?dryRun=true`, {}, key);
      // Nothing of that name is there, and no body was given: refused for that, and for nothing else.
      expect([name, [400, 404].includes(answer.status) || answer.body.code]).toEqual([name, true]);
      expect([name, answer.body.detail]).toEqual([name, expect.not.stringContaining('dryRun')]);
    }
    const audit = await lockstep.ok<{ items: { outcome: string }[] }>('GET', '/v1/audit-events?limit=200');
    expect(audit.items).toHaveLength(2 * mutations().length);
    expect(audit.items.filter(({ outcome }) => outcome !== 'refused')).toEqual([]);
  });

  it('that is a POST takes an Idempotency-Key, and refuses one that cannot be', async () => {
    const posts = routes.filter(({ method }) => method === 'POST');
    const silent = posts.filter(({ operation }) => !parameter(operation, 'header', 'Idempotency-Key'));
    expect(silent.map(({ name }) => name)).toEqual([]);
    for (const { name, path } of posts) {
      const bad = await lockstep.request<Body>('POST', path, {}, { 'Idempotency-Key': 'two words' });
      expect([name, bad.status, bad.body.detail]).toEqual([name, 400, expect.stringContaining('Idempotency-Key')]);
    }
  });

  it('that is a POST answers a key used for another request with a conflict', async () => {
    const key = { 'Idempotency-Key': 'one-request' };
    expect((await lockstep.request('POST', '/v1/tokens', { name: 'idempotent', scope: 'read' }, key)).status).toBe(201);
    for (const { name, path } of routes.filter(({ method }) => method === 'POST')) {
      const answer = await lockstep.request<Body>('POST', path, { other: true }, key);
      expect([name, answer.status, answer.body.code]).toEqual([name, 409, 'IDEMPOTENCY_KEY_REUSED']);
    }
  });

  it('that is a list refuses a cursor that is none of its own', async () => {
    const lists = routes.filter(({ operation }) => parameter(operation, 'query', 'cursor'));
    expect(lists.length).toBeGreaterThan(5);
    const keys = [
      ['a'],
      ['a', 'b'],
      [1, 2],
      ['2026-02-30 00:00:00+00', NOWHERE],
      ['\0'],
      ['\0', '\0'],
      [],
      {},
      [['a']],
    ];
    for (const { name, path } of lists) {
      for (const key of [...keys, 'no json']) {
        const cursor = Buffer.from(typeof key === 'string' ? key : JSON.stringify(key)).toString('base64url');
        const { status } = await lockstep.request<Body>('GET', `${path}?cursor=${cursor}`);
        // One that could be its own is followed to nowhere.
        expect([name, key, [200, 400, 404].includes(status)]).toEqual([name, key, true]);
      }
    }
  });

  it('answers OPTIONS with its methods', async () => {
    const answer = await lockstep.request('OPTIONS', '/v1/servers');
    expect([answer.status, answer.headers.get('allow')]).toEqual([204, 'GET, HEAD, OPTIONS, POST']);
  });

  it('refuses a token that is none with a problem, unless it is open to all', async () => {
    const open = ['/health/live', '/health/ready'];
    for (const { name, method, path } of routes.filter((route) => !open.includes(route.path))) {
      const answer = await lockstep.request<Body>(method, path, undefined, { Authorization: 'Bearer nobody' });
      expect([name, answer.status, answer.body.code]).toEqual([name, 401, 'UNAUTHENTICATED']);
    }
  });

  it('has a summary, and every field of every schema says what it is', () => {
    expect(routes.filter(({ operation }) => !operation.summary).map(({ name }) => name)).toEqual([]);
    const bare = Object.entries(document.components.schemas).flatMap(([schema, { properties = {} }]) =>
      Object.entries(properties)
        .filter(([, field]) => !explains(field))
        .map(([field]) => `${schema}.${field}`),
    );
    expect(bare).toEqual([]);
    const parameters = routes.flatMap(({ name, operation }) =>
      (operation.parameters ?? []).filter(({ description }) => !description).map((each) => `${name}: ${each.name}`),
    );
    expect(parameters).toEqual([]);
  });

  it('that takes a body shows some that are taken as they are', async () => {
    const taking = routes.filter(({ operation }) => operation.requestBody !== undefined);
    expect(taking.length).toBeGreaterThan(10);
    for (const { name, method, path, operation } of taking) {
      const examples = Object.entries(operation.requestBody!.content['application/json']!.examples ?? {});
      expect([name, examples.length > 0]).toEqual([name, true]);
      for (const [example, { value }] of examples) {
        const { body } = await lockstep.request<Body>(method, `${path}?dryRun=true`, value);
        // Nothing of those names is there, but nothing is wrong with the body.
        const refused = ['INVALID_INPUT', 'NOT_AVAILABLE'].includes(body.code ?? '');
        expect([name, example, refused ? body : 'taken']).toEqual([name, example, 'taken']);
      }
    }
  });

  it('shows its answer whole, and as the schema of the answer says', () => {
    const answers = routes.flatMap(({ name, operation }) =>
      Object.entries(operation.responses)
        .filter(([status, { content }]) => status.startsWith('2') && content?.['application/json'] !== undefined)
        .map(([status, { content }]) => ({ name: `${name} ${status}`, shown: content!['application/json']! })),
    );
    const examples = ({ example, examples = {} }: Shown) => [
      ...(example === undefined ? [] : [example]),
      ...Object.values(examples).map(({ value }) => value),
    ];
    for (const { name, shown } of answers) {
      for (const example of examples(shown)) {
        const wrong = againstSchema(example, shown.schema ?? {}, document.components.schemas);
        expect([name, wrong]).toEqual([name, []]);
      }
    }
    expect(answers.length).toBeGreaterThan(75);
    // Of an answer that may be one of two things, each is shown.
    const silent = answers.filter(({ shown }) =>
      (shown.schema?.oneOf ?? [shown.schema ?? {}]).some(
        (schema) =>
          !examples(shown).some((each) => againstSchema(each, schema, document.components.schemas).length === 0),
      ),
    );
    expect(silent.map(({ name }) => name)).toEqual([]);
  });

  it('has schemas of its own: no two classes share a name, or one would be shown for the other', () => {
    const src = join(import.meta.dirname, '..', '..', 'src');
    const names = readdirSync(src, { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .flatMap((file) => [...readFileSync(join(src, file), 'utf8').matchAll(/^(?:export )?class (\w+)/gm)])
      .map(([, name]) => name!);
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });
});

/** By words, an example, its values, its format, or another schema that does. */
function explains(field: Schema): boolean {
  const ways = ['description', 'example', 'enum', 'format', '$ref', 'allOf', 'oneOf'];
  return ways.some((way) => way in field) || (field.items !== undefined && explains(field.items));
}
