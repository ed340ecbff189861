import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { PreflightResult } from '../../src/upgrades/preflight/check.js';
import { runPreflight } from '../../src/upgrades/preflight/preflight.service.js';
import { asLogin, grantDocumented } from '../support/least-privilege.js';
import { TestServer } from '../support/postgres-fleet.js';
import { DATABASE } from '../support/upgrade-scene.js';

const SCHEMA = `
  create role orders_owner; create role orders_app;
  create role orders_writer_a login password 'a-secret' in role orders_app;
  create role orders_writer_b login password 'b-secret' in role orders_app;
  create schema sales authorization orders_owner;
  set role orders_owner;
  create table sales.orders (id bigint generated always as identity primary key, note text);
  create table sales.line (id int primary key, order_id bigint references sales.orders);
  create sequence sales.number;
  create function sales.total() returns bigint language sql return (select count(*) from sales.orders);
  alter default privileges in schema sales grant select on tables to orders_app;
  grant usage on schema sales to orders_app; grant insert on sales.orders to orders_app;
  reset role`;

type Side = 'source' | 'target';

describe('preflight with logins that are no superusers', () => {
  const servers = {} as Record<Side, TestServer>;

  beforeAll(async () => {
    [servers.source, servers.target] = await Promise.all([TestServer.start(17), TestServer.start(18)]);
    for (const side of ['source', 'target'] as const) await servers[side].freshDatabase(DATABASE);
    await servers.source.run(DATABASE, SCHEMA);
    for (const side of ['source', 'target'] as const) await grantDocumented(servers[side], side);
  }, 120_000);
  afterAll(() => Promise.all([servers.source?.stop(), servers.target?.stop()]));

  async function results(only?: (check: string) => boolean): Promise<PreflightResult[]> {
    const logins = { source: asLogin(servers.source), target: asLogin(servers.target) };
    return await runPreflight({ ...logins, options: {}, ...(only ? { only } : {}) });
  }

  async function blockers(only: (check: string) => boolean): Promise<PreflightResult[]> {
    return (await results(only)).filter(({ passed, severity }) => !passed && severity === 'blocker');
  }

  const said = (found: PreflightResult[]) => found.map(({ check, observed }) => `${check}: ${observed}`).join('\n');

  it('finds nothing to object to in what is documented, and can ask everything', async () => {
    // Faults of the release that runs here are nothing a privilege could change.
    const all = (await results()).filter(({ check }) => !check.endsWith('-minor-release'));
    expect(said(all.filter(({ passed, severity }) => !passed && severity !== 'info'))).toBe('');
    expect(said(all.filter(({ observed }) => observed.startsWith('could not')))).toBe('');
  });

  /** Side, what is taken away, the check that names it, what it says. */
  const TAKEN: [Side, string, string, RegExp][] = [
    ['source', 'alter role lockstep noreplication', 'source-login-privileges', /lacks: REPLICATION/],
    [
      'source',
      `revoke create on database ${DATABASE} from lockstep`,
      'source-login-privileges',
      /lacks: CREATE on the/,
    ],
    ['source', 'revoke pg_create_subscription from lockstep', 'source-login-privileges', /lacks: .*pg_create_subscr/],
    ['source', 'revoke orders_owner from lockstep', 'table-ownership', /^2 tables.*: sales\.line, sales\.orders$/],
    ['source', 'revoke set option for orders_owner from lockstep', 'table-ownership', /^2 tables/],
    ['source', 'revoke inherit option for orders_owner from lockstep', 'sequences-settable', /sales\.number/],
    ['source', 'revoke admin option for orders_writer_a from lockstep', 'fence-privileges', /alter orders_writer_a$/],
    ['source', 'alter role lockstep nocreaterole', 'fence-privileges', /lacks: CREATEROLE$/],
    ['source', 'revoke pg_signal_backend from lockstep', 'fence-privileges', /lacks: pg_signal_backend$/],
    ['source', 'revoke pg_read_all_stats from lockstep', 'fence-privileges', /lacks: pg_read_all_stats$/],
    [
      'source',
      'revoke execute on function pg_catalog.pg_replication_origin_progress(text, boolean) from lockstep',
      'source-login-privileges',
      /lacks: EXECUTE on pg_replication_origin_progress/,
    ],
    [
      'source',
      'revoke select (rolname, rolpassword) on pg_catalog.pg_authid from lockstep',
      'password-verifiers',
      /needed for orders_writer_a, orders_writer_b$/,
    ],
    ['target', 'alter role lockstep noreplication', 'target-login-privileges', /lacks: REPLICATION/],
    ['target', 'alter role lockstep nocreaterole', 'target-login-privileges', /lacks: CREATEROLE/],
    ['target', 'revoke pg_create_subscription from lockstep', 'target-login-privileges', /lacks: .*pg_create_subscr/],
    ['target', 'revoke pg_signal_backend from lockstep', 'target-fence-privileges', /lacks: pg_signal_backend$/],
    ['target', 'revoke pg_read_all_stats from lockstep', 'target-fence-privileges', /lacks: pg_read_all_stats$/],
    [
      'target',
      'revoke execute on function pg_catalog.pg_replication_origin_progress(text, boolean) from lockstep',
      'target-login-privileges',
      /lacks: EXECUTE on pg_replication_origin_progress/,
    ],
    ['target', `alter database ${DATABASE} owner to postgres`, 'target-login-privileges', /lacks: CREATE on the data/],
    ['target', 'create role orders_owner', 'schema-restorable', /SCHEMA sales \(.*must be able to SET ROLE/],
    ['target', 'create role orders_writer_a login', 'target-fence-privileges', /may not alter orders_writer_a$/],
    ['target', 'create role orders_app', 'schema-restorable', /role orders_writer_\w \(.*permission denied to grant/],
  ];

  it.each(TAKEN)(
    'on the %s: %s',
    async (side, sql, check, observed) => {
      const server = servers[side];
      await server.run(DATABASE, sql);
      // Measuring WAL and rehearsing the restore take their time, and only what is about the restore needs that.
      const slow = ['source-wal-rate', 'schema-restorable', 'system-privileges'].filter((name) => name !== check);
      const asked = (name: string) => !slow.includes(name);
      const found = await blockers(asked);
      const named = found.find((result) => result.check === check);
      expect(named?.observed ?? said(found)).toMatch(observed);
      // The remedies are statements; run as they are, they cure it.
      for (const { remedy } of found) {
        for (const line of (remedy ?? '').split('\n').filter((text) => /^(grant|alter) .*;$/.test(text))) {
          await server.run(DATABASE, line);
        }
      }
      expect(said(await blockers(asked))).toBe('');
    },
    60_000,
  );
});
