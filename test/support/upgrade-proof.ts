import { expect } from '@jest/globals';
import pg from 'pg';
import { compareDatabases } from '../../demo/compare-databases.js';
import { eventually } from './eventually.js';
import type { Lockstep } from './lockstep.js';
import type { TestServer } from './postgres-fleet.js';
import { stateAsText } from './state-text.js';
import { DATABASE, type UpgradeScene, type UpgradeView } from './upgrade-scene.js';

/** The writers get further acknowledgements, wherever they write now. */
export async function writesContinue(scene: UpgradeScene): Promise<void> {
  const before = scene.workload.figures.acknowledged;
  await eventually(() => scene.workload.figures.acknowledged > before + 10, { within: 20_000 });
}

/**
 * Those the writers draw from, see demo/workload/transactions.ts: they go on where the writers are. All others stand
 * where they were moved to.
 */
const DRAWN =
  /^(sales\.order_number|app\.ticket_number|audit\.row_change_id_seq|catalog\.product_id_seq|app\.counter_((0\d|1[01])[38]|123))$/;

/**
 * Stops the writers and holds every acknowledged write against the side they wrote to; then both sides against each
 * other: rows are equal, no sequence is behind on the side written to, and those nobody draws from stand exactly alike.
 */
export async function holds(scene: UpgradeScene, side: 'source' | 'target'): Promise<void> {
  await scene.workload.stop();
  const client = new pg.Client({ ...connection(scene[side]), database: DATABASE });
  await client.connect();
  try {
    const verdict = await scene.workload.ledger.check(client);
    expect(verdict.lost).toEqual([]);
    expect(verdict.duplicated).toEqual([]);
    expect(verdict.mismatches).toEqual([]);
    expect(verdict.acknowledged).toBeGreaterThan(20);
    expect(scene.workload.figures.defects).toEqual([]);
  } finally {
    await client.end();
  }
  const [other, written] = [sideOf(scene[side === 'target' ? 'source' : 'target']), sideOf(scene[side])];
  // The side written to in the place of the target: it is the one whose sequences must not be behind.
  const { differences } = await compareDatabases(other, written, DATABASE, 20_000);
  expect({ writtenTo: side, differences }).toEqual({ writtenTo: side, differences: [] });
  const [expected, actual] = await Promise.all([other, written].map((end) => end.withClient(DATABASE, undrawn)));
  expect(Object.keys(expected!).length).toBeGreaterThan(10);
  expect(actual).toEqual(expected);
}

function sideOf(server: TestServer) {
  return {
    withClient: async <T>(database: string, work: (client: pg.Client) => Promise<T>): Promise<T> => {
      const session = new pg.Client({ ...connection(server), database });
      await session.connect();
      try {
        return await work(session);
      } finally {
        await session.end();
      }
    },
  };
}

/** Where each sequence stands that nobody draws from, and whether that value was handed out, as the sequence itself says. */
async function undrawn(client: pg.Client): Promise<Record<string, string>> {
  const { rows: listed } = await client.query<{ name: string; query: string }>(`
    select schemaname || '.' || sequencename as name,
           format('select %L as name, last_value || '' '' || is_called as position from %I.%I',
                  schemaname || '.' || sequencename, schemaname, sequencename) as query
      from pg_sequences where schemaname !~ '^lockstep'`);
  const queries = listed.filter(({ name }) => !DRAWN.test(name)).map(({ query }) => query);
  const { rows } = await client.query<{ name: string; position: string }>(queries.join(' union all '));
  return Object.fromEntries(rows.map(({ name, position }) => [name, position]));
}

function connection({ host, port, user, password }: TestServer) {
  return { host, port, user, password };
}

export async function operationEnds(lockstep: Lockstep, id: string): Promise<void> {
  await eventually(
    async () => {
      const { state, problem } = await lockstep.ok<{ state: string; problem: unknown }>('GET', `/v1/operations/${id}`);
      if (state === 'failed') throw new Error(JSON.stringify(problem));
      return state === 'succeeded';
    },
    { within: 60_000, every: 200 },
  );
}

/**
 * Whether the rollback opened the source with what was shown inside its fence. One that was held up, as on a machine
 * that is busy, verifies afterwards and says so.
 */
export function isProvenInside({ rollback, steps }: UpgradeView): boolean {
  const { fenceProof, verifiedLsn, writePauseMs } = rollback!;
  expect(fenceProof).toBe('held');
  const after = steps.find(({ name }) => name === 'rollback-verification-after')!;
  if (verifiedLsn === null) {
    expect(writePauseMs).toBeGreaterThan(5_000);
    expect(after.state).toBe('done');
    return false;
  }
  expect(verifiedLsn).toMatch(/^[0-9A-F]+\/[0-9A-F]+$/);
  expect(after.state).toBe('skipped');
  return true;
}

/**
 * Neither the servers' passwords, nor those of writers and readers, nor a password verifier is anywhere in state or
 * log, nor in what the service tells of the upgrade and of what was asked of it.
 *
 * @param more further secrets, such as the passwords the servers were registered with
 */
export async function nothingSecret(
  lockstep: Lockstep,
  scene: UpgradeScene,
  name: string,
  more: string[] = [],
): Promise<void> {
  const { source, target, passwords } = scene;
  const secrets = [source.password, target.password, ...passwords, ...more, 'SCRAM-SHA-256$', lockstep.token];
  const state = await stateAsText(lockstep);
  expect(state.toLowerCase()).toContain('create subscription');
  const [upgrade, audit] = await Promise.all(
    [`/v1/upgrades/${name}`, '/v1/audit-events?limit=200'].map((path) => lockstep.ok<object>('GET', path)),
  );
  expect(JSON.stringify(audit)).toContain(name);
  for (const text of [state, lockstep.log(), JSON.stringify(upgrade), JSON.stringify(audit)]) {
    for (const secret of secrets) {
      expect(text.includes(secret)).toBe(false);
      // As it stands in a statement.
      expect(text.includes(secret.replaceAll("'", "''"))).toBe(false);
    }
  }
}

/** Everything of ours that is still on a server. */
export async function ours(server: TestServer, database = DATABASE): Promise<string[]> {
  return server.withSession(database, async (session) => {
    const rows = await session.rows<{ object: string }>(`
      select 'slot ' || slot_name as object from pg_replication_slots where slot_name like 'lockstep%'
      union all select 'publication ' || pubname from pg_publication where pubname like 'lockstep%'
      union all select 'subscription ' || subname from pg_subscription where subname like 'lockstep%'
      union all select 'schema ' || nspname from pg_namespace where nspname = 'lockstep'
      union all select 'origin ' || roname from pg_replication_origin`);
    return rows.map(({ object }) => object);
  });
}

/**
 * Everything an upgrade could leave behind or change on a server: compared before and after an abort. What only
 * counts or moves by itself (statistics, positions) is left out.
 */
export async function catalogsOf(server: TestServer): Promise<Record<string, unknown>> {
  const cluster = await server.withSession('postgres', async (session) => ({
    roles: await session.rows(
      `select rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolconnlimit, rolpassword,
              rolvaliduntil from pg_authid order by 1`,
    ),
    memberships: await session.rows(
      'select roleid::regrole::text, member::regrole::text, admin_option from pg_auth_members order by 1, 2',
    ),
    settings: await session.rows(
      `select coalesce(d.datname, '') as database, coalesce(r.rolname, '') as role, setconfig from pg_db_role_setting s
         left join pg_database d on d.oid = s.setdatabase left join pg_roles r on r.oid = s.setrole order by 1, 2`,
    ),
    databases: await session.rows(
      'select datname, datallowconn, datconnlimit, aclexplode(coalesce(datacl, acldefault($$d$$, datdba)))::text as acl from pg_database order by 1, 4',
    ),
    slots: await session.rows('select slot_name from pg_replication_slots order by 1'),
    subscriptions: await session.rows('select subname from pg_subscription order by 1'),
    origins: await session.rows('select roname from pg_replication_origin order by 1'),
  }));
  const database = await server.withSession(DATABASE, async (session) => ({
    schemas: await session.rows(
      'select nspname, nspacl::text as acl from pg_namespace where nspname !~ $$^pg_(toast|temp)$$ order by 1',
    ),
    relations: await session.rows(
      `select c.oid::regclass::text as name, relkind, relreplident, relacl::text as acl from pg_class c
        where c.oid >= 16384 and relkind <> 't' and relname !~ '^pg_toast' order by 1`,
    ),
    types: await session.rows('select oid::regtype::text as name from pg_type where oid >= 16384 order by 1'),
    functions: await session.rows('select oid::regprocedure::text as name from pg_proc where oid >= 16384 order by 1'),
    publications: await session.rows('select pubname from pg_publication order by 1'),
    extensions: await session.rows('select extname from pg_extension order by 1'),
    defaults: await session.rows(
      'select defaclrole::regrole::text as role, defaclacl::text as acl from pg_default_acl order by 1, 2',
    ),
  }));
  return { ...cluster, ...database };
}
