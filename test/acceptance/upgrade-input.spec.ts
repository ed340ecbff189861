import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { streamedEvents } from '../support/event-stream.js';
import { type Answer, Lockstep } from '../support/lockstep.js';
import { catalogsOf } from '../support/upgrade-proof.js';
import { DATABASE, upgradeIn, UpgradeScene, type UpgradeView } from '../support/upgrade-scene.js';

interface ProblemBody {
  code: string;
  status: number;
  detail: string;
  hint?: string;
  errors?: { pointer: string }[];
}

const ODD_NAMES = [
  `it's`,
  '"quoted"',
  'two words',
  'täble-ß-数据-🐘',
  '-- drop table lockstep.upgrade; --',
  `'; drop database orders; --`,
  '%27; select 1',
  'a/b',
  '../../etc/passwd',
  '__proto__',
  'preflight',
  'null',
  'x'.repeat(63),
  'é'.repeat(31),
];
const IMPOSSIBLE_NAMES = ['', 'x'.repeat(64), 'é'.repeat(32), 'x'.repeat(5000), 'a\0b'];
const NOBODYS = 'nobodys';

describe('bad input over the API of upgrades', () => {
  let lockstep: Lockstep;
  let scene: UpgradeScene;
  let catalogs: unknown;

  beforeAll(async () => {
    [lockstep, scene] = await Promise.all([Lockstep.start(), UpgradeScene.set(14, 18, { rows: 500 })]);
    await scene.register(lockstep);
    catalogs = await allCatalogs();
  }, 120_000);
  afterAll(async () => {
    await lockstep?.dispose();
    await scene?.dispose();
  });

  const allCatalogs = () => Promise.all([catalogsOf(scene.source), catalogsOf(scene.target)]);
  const post = (path: string, body?: unknown, headers?: Record<string, string>) =>
    lockstep.request<ProblemBody>('POST', path, body, headers);
  const get = (path: string, headers?: Record<string, string>) =>
    lockstep.request<ProblemBody>('GET', path, undefined, headers);
  const upgrades = async () => (await lockstep.ok<{ items: UpgradeView[] }>('GET', '/v1/upgrades')).items;
  const path = (name: string, rest = '') => `/v1/upgrades/${encodeURIComponent(name)}${rest}`;

  const request = (change: Record<string, unknown> = {}): Record<string, unknown> => ({
    name: 'refused',
    source: { server: 'source', database: DATABASE },
    target: { server: 'target', database: DATABASE },
    traffic: { kind: 'sql-fence' },
    ...change,
  });

  function refused(answer: Answer<ProblemBody>, status: number, code: string): void {
    expect([answer.status, answer.body.code, answer.body.detail]).toEqual([status, code, answer.body.detail]);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
  }

  describe('with nothing under way', () => {
    afterAll(async () => {
      expect(await upgrades()).toEqual([]);
      expect(await allCatalogs()).toEqual(catalogs);
      expect((await lockstep.ok<{ items: unknown[] }>('GET', '/v1/operations')).items).toEqual([]);
    });

    it.each<[string, Record<string, unknown>, string[]]>([
      ['a number for a name', { name: 5 }, ['#/name']],
      ['no name', { name: undefined }, ['#/name']],
      ['a name that no path can carry', { name: '..' }, ['#/name']],
      ['no source', { source: undefined }, ['#/source']],
      ['a source that is null', { source: null }, ['#/source']],
      ['a source that is text', { source: 'source/orders' }, ['#/source']],
      ['a source that is a list', { source: [] }, ['#/source']],
      ['a source without database', { source: { server: 'source' } }, ['#/source/database']],
      ['a database that is a number', { target: { server: 'target', database: 1 } }, ['#/target/database']],
      ['a server that is an object', { target: { server: {}, database: DATABASE } }, ['#/target/server']],
      ['a field too many in an end', { target: { server: 'target', database: DATABASE, port: 1 } }, ['#/target/port']],
      ['an over-long database', { target: { server: 'target', database: 'x'.repeat(64) } }, ['#/target/database']],
      ['an empty server', { source: { server: '', database: DATABASE } }, ['#/source/server']],
      ['unknown fields', { colour: 'red', 'a/b~c': 1 }, ['#/colour', '#/a~1b~0c']],
      ['no traffic', { traffic: undefined }, ['#/traffic']],
      ['traffic that is text', { traffic: 'sql-fence' }, ['#/traffic']],
      ['an unknown kind of traffic', { traffic: { kind: 'dns' } }, ['#/traffic/kind']],
      ['a field too many in the traffic', { traffic: { kind: 'sql-fence', colour: 1 } }, ['#/traffic/colour']],
      ['an unknown copy method', { copy: { method: 'pg_dump' } }, ['#/copy/method']],
      ['no copy worker', { copy: { parallel: 0 } }, ['#/copy/parallel']],
      ['a copy worker too many', { copy: { parallel: 65 } }, ['#/copy/parallel']],
      ['verification required by text', { verification: { required: 'yes' } }, ['#/verification/required']],
      ['an unknown gate', { gates: ['open'] }, ['#/gates']],
      ['a gate that is null', { gates: [null] }, ['#/gates']],
      ['a gate twice', { gates: ['copy', 'copy'] }, ['#/gates']],
      ['gates as text', { gates: 'switchover' }, ['#/gates']],
      ['a deadline as text', { deadlines: { fenceMs: '5s' } }, ['#/deadlines/fenceMs']],
      ['a deadline of nothing', { deadlines: { fenceMs: 0 } }, ['#/deadlines/fenceMs']],
      ['a negative deadline', { deadlines: { drainMs: -1 } }, ['#/deadlines/drainMs']],
      ['a fraction of a deadline', { deadlines: { slotMs: 1000.5 } }, ['#/deadlines/slotMs']],
      ['a deadline of years', { deadlines: { drainMs: 1e12 } }, ['#/deadlines/drainMs']],
      ['an unknown deadline', { deadlines: { openMs: 1000 } }, ['#/deadlines/openMs']],
      ['deadlines as a list', { deadlines: [] }, ['#/deadlines']],
      ['traffic as a list', { traffic: [{ kind: 'sql-fence' }] }, ['#/traffic']],
      ['verification as a list', { verification: [] }, ['#/verification']],
      ['copy as a list', { copy: [] }, ['#/copy']],
      ['writer roles as text', { writerRoles: 'app' }, ['#/writerRoles']],
      ['a writer role that is a number', { writerRoles: ['app', 5] }, ['#/writerRoles']],
      ['an over-long writer role', { writerRoles: ['x'.repeat(64)] }, ['#/writerRoles']],
      ['a writer role twice', { writerRoles: ['app', 'app'] }, ['#/writerRoles']],
      ['passwords as a list', { writerPasswords: ['secret'] }, ['#/writerPasswords']],
      ['passwords as text', { writerPasswords: 'secret' }, ['#/writerPasswords']],
      ['a password that is a number', { writerPasswords: { app: 5 } }, ['#/writerPasswords/app']],
      ['a password that is null', { writerPasswords: { app: null } }, ['#/writerPasswords/app']],
      ['an empty password', { writerPasswords: { app: '' } }, ['#/writerPasswords/app']],
      ['a password that is an object', { writerPasswords: { 'a/b c': {} } }, ['#/writerPasswords/a~1b%20c']],
      ['a password with a zero byte', { writerPasswords: { app: 'a\0b' } }, ['#/writerPasswords/app']],
      ['an unknown way with replica identities', { replicaIdentity: 'full' }, ['#/replicaIdentity']],
      ['a dry run that is no boolean', { dryRun: 'yes' }, ['#/dryRun']],
      ['the same database twice', { target: { server: 'source', database: DATABASE } }, ['#/target']],
    ])('refuses %s, and says where', async (_case, change, pointers) => {
      for (const route of ['/v1/upgrades', ...('dryRun' in change ? [] : ['/v1/upgrades?dryRun=true'])]) {
        const answer = await post(route, request(change));
        refused(answer, 400, 'INVALID_INPUT');
        const found = answer.body.errors!.map(({ pointer }) => decodeURIComponent(pointer));
        expect(new Set(found)).toEqual(new Set(pointers.map(decodeURIComponent)));
        expect(JSON.stringify(answer.body)).not.toContain('secret');
      }
    });

    it.each<[Record<string, unknown>, string]>([
      ...['pgbouncer', 'haproxy', 'webhook', 'manual'].map((kind): [Record<string, unknown>, string] => [
        { traffic: { kind } },
        '#/traffic/kind',
      ]),
      [{ traffic: { kind: 'pgbouncer', admin: { host: 'p', port: 6432 }, pools: ['orders'] } }, '#/traffic/kind'],
      [{ traffic: { kind: 'webhook', url: 'https://x', kindly: [] }, gates: ['nonsense'] }, '#/traffic/kind'],
      [{ copy: { method: 'snapshot', parallel: 4 } }, '#/copy/method'],
      [{ copy: { method: 'snapshot', parallel: 4, chunkBytes: 1e6, splitBy: 'ctid' } }, '#/copy/method'],
    ])('says of %j that it is not available, and does not do something else instead', async (change, pointer) => {
      for (const route of ['/v1/upgrades', '/v1/upgrades?dryRun=true', '/v1/upgrades/preflight']) {
        const answer = await post(route, request(change));
        refused(answer, 422, 'NOT_AVAILABLE');
        expect(answer.body.errors).toMatchObject([{ pointer }]);
      }
    });

    it.each(IMPOSSIBLE_NAMES)('refuses a name that nothing can have (%#), wherever it stands', async (name) => {
      const bodies: [Record<string, unknown>, string][] = [
        [{ name }, '#/name'],
        [{ source: { server: name, database: DATABASE } }, '#/source/server'],
        [{ target: { server: 'target', database: name } }, '#/target/database'],
      ];
      for (const [change, pointer] of bodies) {
        const answer = await post('/v1/upgrades', request(change));
        refused(answer, 400, 'INVALID_INPUT');
        expect(answer.body.errors!.map((error) => error.pointer)).toEqual([pointer]);
      }
      if (name !== '') refused(await get(path(name)), 400, 'INVALID_INPUT');
    });

    it.each(ODD_NAMES)('knows no upgrade, server or database named %s', async (name) => {
      refused(await get(path(name)), 404, 'NOT_FOUND');
      refused(await get(path(name, '/report')), 404, 'NOT_FOUND');
      refused(await get(path(name, '/events')), 404, 'NOT_FOUND');
      refused(await post(path(name, '/approve'), { gate: 'copy' }), 404, 'NOT_FOUND');
      for (const action of ['abort', 'rollback', 'finalize', 'retry']) {
        refused(await post(path(name, `/${action}`)), 404, 'NOT_FOUND');
      }
      refused(await lockstep.request<ProblemBody>('DELETE', path(name)), 404, 'NOT_FOUND');
      for (const end of ['source', 'target']) {
        const noServer = request({ [end]: { server: name, database: DATABASE } });
        refused(await post('/v1/upgrades', noServer), 404, 'NOT_FOUND');
        refused(await post('/v1/upgrades?dryRun=true', noServer), 404, 'NOT_FOUND');
        const noDatabase = request({ [end]: { server: end, database: name } });
        refused(await post('/v1/upgrades', noDatabase), 404, 'DATABASE_NOT_FOUND');
      }
    });

    it('an odd name is a name like any other: planned, and nothing done', async () => {
      for (const name of ODD_NAMES) {
        const plan = await post('/v1/upgrades', request({ name, dryRun: true }));
        expect([name, plan.status]).toEqual([name, 200]);
      }
    });

    it('a dry run answers the preflight and the plan, and POST /preflight the preflight alone', async () => {
      const plan = await lockstep.ok<{
        preflight: { check: string; passed: boolean; severity: string }[];
        steps: { step: string; statements: { sql: string }[] }[];
      }>('POST', '/v1/upgrades?dryRun=true', request());
      const blockers = plan.preflight.filter(({ passed, severity }) => !passed && severity === 'blocker');
      expect(blockers).toEqual([]);
      expect(plan.preflight.length).toBeGreaterThan(20);
      expect(plan.steps.map(({ step }) => step)).toEqual(
        expect.arrayContaining(['preflight', 'subscription', 'fence', 'open-target']),
      );
      expect(JSON.stringify(plan.steps)).toMatch(/create subscription/);
      expect(JSON.stringify(plan)).not.toContain(scene.source.password);

      const { name: _unnamed, ...body } = request();
      const alone = await lockstep.ok<{ preflight: { check: string }[]; blocked: boolean }>(
        'POST',
        '/v1/upgrades/preflight',
        body,
      );
      expect(alone.blocked).toBe(false);
      expect(alone.preflight.map(({ check }) => check)).toEqual(plan.preflight.map(({ check }) => check));
    });

    it('a preflight that finds a blocker says so, and changes nothing either', async () => {
      const nobody = request({ writerRoles: [`it's "nobody"; --`] });
      const answer = await lockstep.ok<{ preflight: { passed: boolean; observed: string }[]; blocked: boolean }>(
        'POST',
        '/v1/upgrades/preflight',
        nobody,
      );
      expect(answer.blocked).toBe(true);
      const failed = answer.preflight.filter(({ passed }) => !passed).map(({ observed }) => observed);
      expect(failed.join()).toContain(`it's "nobody"; --`);
      const nowhere = request({ source: { server: 'source', database: NOBODYS } });
      expect(await lockstep.ok('POST', '/v1/upgrades/preflight', nowhere)).toMatchObject({ blocked: true });
    });
  });

  describe('with an upgrade that awaits approval of the copy', () => {
    const NAME = `it's "one" -- & 数据/🐘`;
    const body = () => request({ name: NAME, gates: ['copy', 'switchover'] });
    let waiting: unknown;
    let answers: Answer<ProblemBody>[];

    beforeAll(async () => {
      const key = { 'Idempotency-Key': 'one-upgrade' };
      answers = [await post('/v1/upgrades', body(), key), await post('/v1/upgrades', body(), key)];
      await upgradeIn(lockstep, encodeURIComponent(NAME), ['awaiting-approval']);
      waiting = await allCatalogs();
    }, 60_000);

    /** What a refused request must leave alone. */
    async function unchanged(): Promise<void> {
      expect(await upgrades()).toMatchObject([{ name: NAME, phase: 'awaiting-approval', awaiting: 'copy' }]);
      expect(await allCatalogs()).toEqual(waiting);
    }

    it('one Idempotency-Key: the same answer and one upgrade; with another body a conflict', async () => {
      expect(answers.map(({ status }) => status)).toEqual([202, 202]);
      expect(answers[1]!.body).toEqual(answers[0]!.body);
      expect(answers[1]!.headers.get('location')).toBe(answers[0]!.headers.get('location'));
      expect(answers[1]!.headers.get('idempotent-replayed')).toBe('true');
      const other = await post('/v1/upgrades', request({ name: 'other' }), { 'Idempotency-Key': 'one-upgrade' });
      refused(other, 409, 'IDEMPOTENCY_KEY_REUSED');
      const bad = await post('/v1/upgrades', request(), { 'Idempotency-Key': 'with blanks' });
      refused(bad, 400, 'INVALID_INPUT');
      await unchanged();
    });

    it.each<[string, unknown, number, string]>([
      ['/approve', { gate: 'switchover' }, 409, 'WRONG_STATE'],
      ['/approve', { gate: 'open' }, 400, 'INVALID_INPUT'],
      ['/approve', { gate: null }, 400, 'INVALID_INPUT'],
      ['/approve', { gate: ['copy'] }, 400, 'INVALID_INPUT'],
      ['/approve', { gate: 'copy', force: true }, 400, 'INVALID_INPUT'],
      ['/approve', undefined, 400, 'INVALID_INPUT'],
      ['/approve?dryRun=true', { gate: 'switchover' }, 409, 'WRONG_STATE'],
      ['/rollback', undefined, 409, 'WRONG_STATE'],
      ['/finalize', undefined, 409, 'WRONG_STATE'],
      ['/retry', undefined, 409, 'WRONG_STATE'],
      ['/rollback?dryRun=true', undefined, 409, 'WRONG_STATE'],
    ])('refuses POST …%s of %j', async (action, given, status, code) => {
      refused(await post(path(NAME, action), given), status, code);
      await unchanged();
    });

    it('is neither removed nor are its servers', async () => {
      refused(await lockstep.request<ProblemBody>('DELETE', path(NAME)), 409, 'WRONG_STATE');
      for (const server of ['source', 'target']) {
        const answer = await lockstep.request<ProblemBody>('DELETE', `/v1/servers/${server}`);
        expect([answer.status, answer.body.detail.includes(NAME.slice(0, 4))]).toEqual([409, true]);
      }
      await unchanged();
    });

    it('its operation is not cancelled but aborted', async () => {
      const { operationId } = (await upgrades())[0]!;
      refused(await post(`/v1/operations/${operationId}/cancel`), 409, 'WRONG_STATE');
      await unchanged();
    });

    it('refuses a second upgrade of that name, or on one of its databases in either part', async () => {
      refused(await post('/v1/upgrades', body()), 409, 'ALREADY_EXISTS');
      const other = { server: 'target', database: 'postgres' };
      const [source, target] = [request().source, request().target];
      for (const change of [
        { target: other },
        { source: other },
        { source: target, target: other },
        { target: source, source: other },
      ]) {
        const answer = await post('/v1/upgrades', request({ name: 'second', ...change }));
        refused(answer, 409, 'CONFLICT');
        expect(answer.body.detail).toContain(NAME);
      }
      await unchanged();
    });

    it('of two requests at the same moment one is taken', async () => {
      const both = await Promise.all([0, 1].map((n) => post('/v1/upgrades', request({ name: `twin-${n}` }))));
      expect(both.map(({ status }) => status)).toEqual([409, 409]);
      const gates = await Promise.all([0, 1].map(() => post(path(NAME, '/approve'), { gate: 'switchover' })));
      expect(gates.map(({ status }) => status)).toEqual([409, 409]);
      await unchanged();
    });

    it('the report is what was asked for, or 406', async () => {
      const report = (accept: string) => get(path(NAME, '/report'), { Accept: accept });
      const json = await report('application/json');
      expect(json.body).toMatchObject({
        ...{ name: NAME, phase: 'awaiting-approval', verification: null, switchover: null },
        ...{
          source: { version: expect.stringMatching(/^\d+\./) },
          target: { version: expect.stringMatching(/^\d+\./) },
        },
        ...{ bytes: expect.any(Number), rows: expect.any(Number), tables: expect.any(Number) },
        ...{ notCarried: expect.any(Array), remains: ['Approve the copy, or abort.'] },
      });
      expect((await report('*/*')).body).toEqual(json.body);
      for (const accept of ['text/markdown', 'text/markdown;q=0.9, application/json;q=0.1']) {
        const markdown = await report(accept);
        expect(markdown.headers.get('content-type')).toMatch(/^text\/markdown/);
        expect(markdown.body as unknown as string).toContain('# Upgrade');
      }
      refused(await report('image/png'), 406, 'NOT_ACCEPTABLE');
      await unchanged();
    });

    it.each(['abc', '-1', '1.5', '0x1', '1e3', '9'.repeat(20), '1, 2'])('refuses Last-Event-ID %s', async (last) => {
      const answer = await get(path(NAME, '/events'), { 'Last-Event-ID': last });
      refused(answer, 400, 'INVALID_INPUT');
      expect(answer.body.errors).toMatchObject([{ pointer: 'header:Last-Event-ID' }]);
    });

    it('events resume without gap or repeat, and the stream ends with the upgrade', async () => {
      const stream = path(NAME, '/events');
      const waits = (event: { data: Record<string, unknown> }) => event.data.phase === 'awaiting-approval';
      const first = await streamedEvents(lockstep, stream, { enough: (events) => events.some(waits) });
      const middle = Math.floor(first.length / 2);
      const rest = streamedEvents(lockstep, stream, { after: first[middle - 1]!.id });
      await lockstep.ok('POST', path(NAME, '/abort'));
      const ending = await rest;
      expect(ending.slice(0, first.length - middle)).toEqual(first.slice(middle));
      const whole = await streamedEvents(lockstep, stream);
      expect([...first.slice(0, middle), ...ending]).toEqual(whole);
      expect(whole.map(({ id }) => id)).toEqual(whole.map((_event, index) => index + 1));
      const phases = whole.filter(({ type }) => type === 'phase').map(({ data }) => data.phase);
      expect(phases.slice(-3)).toEqual(['awaiting-approval', 'aborting', 'aborted']);
      expect(await streamedEvents(lockstep, stream, { after: whole.at(-1)!.id })).toEqual([]);
    });

    it('once aborted nothing more can be done with it but to remove it, and everything is as it was', async () => {
      await upgradeIn(lockstep, encodeURIComponent(NAME), ['aborted']);
      refused(await post(path(NAME, '/approve'), { gate: 'copy' }), 409, 'WRONG_STATE');
      for (const action of ['abort', 'rollback', 'finalize', 'retry']) {
        refused(await post(path(NAME, `/${action}`)), 409, 'WRONG_STATE');
      }
      expect(await allCatalogs()).toEqual(catalogs);
      refused(await post('/v1/upgrades', body()), 409, 'ALREADY_EXISTS');
      expect((await lockstep.request('DELETE', path(NAME))).status).toBe(204);
      expect(await upgrades()).toEqual([]);
    });
  });

  it('a blocked upgrade is neither approved, rolled back nor finalized', async () => {
    const backwards = { source: { server: 'target', database: 'postgres' }, target: request().source };
    await lockstep.ok('POST', '/v1/upgrades', request({ name: 'blocked', ...backwards }));
    const view = await upgradeIn(lockstep, 'blocked', ['blocked']);
    expect(view.problem!.code).toBe('PRECONDITION_FAILED');
    refused(await post(path('blocked', '/approve'), { gate: 'switchover' }), 409, 'WRONG_STATE');
    for (const action of ['rollback', 'finalize']) {
      refused(await post(path('blocked', `/${action}`)), 409, 'WRONG_STATE');
    }
    expect(await allCatalogs()).toEqual(catalogs);
    await lockstep.ok('POST', path('blocked', '/abort'));
    await upgradeIn(lockstep, 'blocked', ['aborted']);
    expect((await lockstep.request('DELETE', path('blocked'))).status).toBe(204);
    expect(await allCatalogs()).toEqual(catalogs);
  });
});
