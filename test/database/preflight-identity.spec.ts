import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { PreflightOptions } from '../../src/upgrades/preflight/options.js';
import { runPreflight } from '../../src/upgrades/preflight/preflight.service.js';
import { TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'preflight_identity';

/** Made of json, however deep, and so without an equality. */
const TABLES = `
  create domain doc as json; create domain docs as doc;
  create type noted as (at int, body json);
  create table composed (a int, note noted);
  create table deep (a int, c docs, d doc[]);
  create table fine (a int, b jsonb, c text[])`;

let source: TestServer;
let target: TestServer;

beforeAll(async () => {
  [source, target] = await Promise.all([TestServer.shared(14), TestServer.shared(18)]);
  for (const server of [source, target]) await server.freshDatabase(DATABASE);
  await source.run(DATABASE, TABLES);
});
afterAll(() => Promise.all([source, target].map((server) => server?.stop())));

async function run(options: PreflightOptions) {
  const ends = { source: source.target(DATABASE), target: target.target(DATABASE), options };
  const only = (check: string) => check === 'replica-identity' || check === 'replica-identity-full-equality';
  return Object.fromEntries((await runPreflight({ ...ends, only })).map((result) => [result.check, result]));
}

it('refuses FULL for whatever columns the target could not compare, and offers it for no such table', async () => {
  const asked = await run({ replicaIdentity: 'full-where-missing' });
  expect(asked['replica-identity-full-equality']).toMatchObject({
    passed: false,
    rows: [
      { object: 'public.composed', column: 'note', type: 'public.noted' },
      { object: 'public.deep', column: 'c', type: 'public.docs' },
      { object: 'public.deep', column: 'd', type: 'public.doc[]' },
    ],
  });
  const unasked = await run({});
  expect(unasked['replica-identity-full-equality']).toMatchObject({ passed: true });
  expect(unasked['replica-identity']!.remedy).toMatch(/full-where-missing", once public.composed, public.deep can/);
  await source.run(DATABASE, 'alter table composed replica identity full; alter table fine add primary key (a)');
  const set = await run({});
  expect(set['replica-identity-full-equality']).toMatchObject({ passed: false, rows: [{ column: 'note' }] });
  expect(set['replica-identity']).toMatchObject({ remedy: 'alter table public.deep add primary key (...);' });
  await source.run(DATABASE, 'alter table deep add primary key (a); alter table composed replica identity default');
  const last = await run({});
  expect(last['replica-identity']!.remedy).not.toContain('full');
});
