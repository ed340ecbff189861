import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { WRITER_ROLES } from '../../src/postgres/catalog/fence.sql.js';
import { Session } from '../../src/postgres/session.js';
import { ALL_CHECKS } from '../../src/upgrades/preflight/checks/all.js';
import { runPreflight } from '../../src/upgrades/preflight/preflight.service.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

/** The figure that counts is for 10,000, in `npm run soak -- preflight`. */
const TABLES = process.env.LOCKSTEP_SOAK === undefined ? 1000 : 10_000;
const both = [14, 18].every((major) => AVAILABLE_MAJORS.includes(major)) ? it : it.skip;

let source: TestServer;
let target: TestServer;

beforeAll(async () => {
  [source, target] = await Promise.all([
    TestServer.start(14, { max_locks_per_transaction: '400' }),
    TestServer.start(18, { max_locks_per_transaction: '400' }),
  ]);
  for (const server of [source, target]) await server.freshDatabase('many');
  await source.run('many', `create role app login; create role other login`);
  // Each with a key, a sequence and grants; in batches, each within the lock table.
  for (let first = 1; first <= TABLES; first += 500) {
    await source.run(
      'many',
      `do $$ begin for n in ${first} .. ${first + 499} loop
         execute 'create table t' || n || ' (id serial primary key, note text, at timestamptz default now())';
         execute 'grant insert, update on t' || n || ' to app, other';
       end loop; end $$`,
    );
  }
  await source.run(
    'many',
    'analyze pg_catalog.pg_class; analyze pg_catalog.pg_attribute; analyze pg_catalog.pg_depend',
  );
}, 300_000);

afterAll(() => Promise.all([source, target].map((server) => server?.stop())));

both(
  'answers for a database of many tables within ten seconds',
  async () => {
    const begun = performance.now();
    const results = await runPreflight({
      source: source.target('many'),
      target: target.target('many'),
      options: { replicaIdentity: 'full-where-missing' },
    });
    const seconds = (performance.now() - begun) / 1000;
    process.stderr.write(`${results.length} checks of ${TABLES} tables in ${seconds.toFixed(1)} s\n`);
    expect(results.filter(({ observed }) => observed.startsWith('could not be determined'))).toEqual([]);
  },
  120_000,
);

both(
  'looks for the writers, which takes longest there, once',
  async () => {
    let asked = 0;
    const onStatement = (sql: string) => {
      if (sql === WRITER_ROLES) asked += 1;
    };
    const [from, to] = [await Session.open({ ...source.target('many'), onStatement }), await target.open('many')];
    try {
      const address = { host: '127.0.0.1', port: source.port, user: source.user };
      const context = {
        source: from,
        target: to,
        options: { sourceAddress: address, targetAddress: address },
        connections: { source: source.target('many'), target: target.target('many') },
        signal: undefined,
      };
      for (const check of ALL_CHECKS) await check.judge(context);
    } finally {
      await Promise.all([from, to].map((session) => session.close()));
    }
    expect(asked).toBe(1);
  },
  120_000,
);
