import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { TestServer } from '../support/postgres-fleet.js';

interface Operation {
  id: string;
  kind: string;
  subject: { type: string; id: string };
  state: string;
  startedAt: string | null;
  finishedAt: string | null;
  problem: { code: string } | null;
}

/** Three upgrades that end at once as blocked: operations with a beginning, events and an end. */
describe('operations', () => {
  let lockstep: Lockstep;
  const servers: TestServer[] = [];
  const ids: string[] = [];

  beforeAll(async () => {
    lockstep = await Lockstep.start();
    for (const [name, major] of [
      ['source', 17],
      ['target', 18],
    ] as const) {
      const server = await TestServer.shared(major);
      servers.push(server);
      await server.freshDatabase('operations');
      const { host, port, user, password } = server;
      await lockstep.ok('POST', '/v1/servers', { name, host, port, user, password, tls: { mode: 'disable' } });
    }
    await servers[0]!.run('operations', 'create table bare (n int)');
    for (let n = 1; n <= 3; n++) {
      const { operationId } = await lockstep.ok<{ operationId: string }>('POST', '/v1/upgrades', {
        name: `blocked-${n}`,
        source: { server: 'source', database: 'operations' },
        target: { server: 'target', database: 'operations' },
        traffic: { kind: 'sql-fence' },
      });
      ids.push(operationId);
      await eventually(async () => (await operation(operationId)).state === 'failed', { within: 60_000 });
      await lockstep.ok('POST', `/v1/upgrades/blocked-${n}/abort`);
      await eventually(
        async () => (await lockstep.ok<{ phase: string }>('GET', `/v1/upgrades/blocked-${n}`)).phase === 'aborted',
        { within: 60_000 },
      );
    }
  }, 180_000);

  afterAll(async () => {
    await lockstep.dispose();
    await Promise.all(servers.map((server) => server.stop()));
  });

  const operation = (id: string) => lockstep.ok<Operation>('GET', `/v1/operations/${id}`);

  /** The stream of an ended operation, read to its end. */
  async function events(id: string, lastEventId?: string): Promise<{ id: number; type: string; data: unknown }[]> {
    const response = await fetch(`${lockstep.url}/v1/operations/${id}/events`, {
      headers: {
        Authorization: `Bearer ${lockstep.token}`,
        ...(lastEventId === undefined ? {} : { 'Last-Event-ID': lastEventId }),
      },
      signal: AbortSignal.timeout(20_000),
    });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    return (await response.text())
      .split('\n\n')
      .filter((block) => block.includes('data:'))
      .map((block) => {
        const field = (name: string) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(block)?.[1] ?? '';
        return { id: Number(field('id')), type: field('event'), data: JSON.parse(field('data')) as unknown };
      });
  }

  it('tells state, subject, times and problem', async () => {
    const done = await operation(ids[0]!);
    expect(done).toMatchObject({ kind: 'upgrade', subject: { type: 'upgrade', id: 'blocked-1' }, state: 'failed' });
    expect(done.problem!.code).toBe('PRECONDITION_FAILED');
    expect(Date.parse(done.finishedAt!)).toBeGreaterThanOrEqual(Date.parse(done.startedAt!));
  });

  it('streams its events in order and ends; Last-Event-ID resumes without gap or repeat', async () => {
    const all = await events(ids[0]!);
    expect(all.map(({ id }) => id)).toEqual(all.map((_, index) => index + 1));
    expect(all[0]!.type).toBe('running');
    expect(all.at(-1)!.type).toBe('failed');
    for (let seen = 0; seen <= all.length; seen++) {
      expect(await events(ids[0]!, String(seen))).toEqual(all.slice(seen));
    }
  });

  it('lists newest first, page by page', async () => {
    const seen: string[] = [];
    let cursor = '';
    do {
      const page = await lockstep.ok<{ items: Operation[]; nextCursor: string | null }>(
        'GET',
        `/v1/operations?limit=2${cursor}`,
      );
      expect(page.items.length).toBeLessThanOrEqual(2);
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor === null ? '' : `&cursor=${encodeURIComponent(page.nextCursor)}`;
    } while (cursor !== '');
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.filter((id) => ids.includes(id))).toEqual([...ids].reverse());
  });

  it.each([
    ['GET', () => `/v1/operations/${randomUUID()}`, 404, 'NOT_FOUND'],
    ['GET', () => '/v1/operations/not-a-uuid', 400, 'INVALID_INPUT'],
    ['GET', () => `/v1/operations/${randomUUID()}/events`, 404, 'NOT_FOUND'],
    ['GET', () => '/v1/operations?limit=0', 400, 'INVALID_INPUT'],
    ['GET', () => '/v1/operations?cursor=nonsense', 400, 'INVALID_INPUT'],
    ['POST', () => `/v1/operations/${ids[0]!}/cancel`, 409, 'WRONG_STATE'],
    ['POST', () => `/v1/operations/${randomUUID()}/cancel`, 404, 'NOT_FOUND'],
  ])('%s %s answers a problem', async (method, path, status, code) => {
    expect(await lockstep.request(method, path())).toMatchObject({ status, body: { code } });
  });

  it('refuses a Last-Event-ID that is none', async () => {
    const answer = await lockstep.request('GET', `/v1/operations/${ids[0]!}/events`, undefined, {
      'Last-Event-ID': '-1',
    });
    expect(answer).toMatchObject({ status: 400, body: { code: 'INVALID_INPUT' } });
  });

  it('leaves an audit event for each step in the name of its operation, and one of the request in that of the caller', async () => {
    const { items } = await lockstep.ok<{ items: { action: string; actor: string; requestId: string | null }[] }>(
      'GET',
      '/v1/audit-events?limit=200',
    );
    for (const { action, actor, requestId } of items) {
      const ofOperation = [expect.stringMatching(/^operation /), null];
      if (action === 'upgrades.preflight') expect([actor, requestId]).toEqual(ofOperation);
      if (action === 'upgrades.create') expect(actor).not.toMatch(/^operation/);
    }
    expect(items.filter(({ action }) => action === 'upgrades.preflight' && action).length).toBeGreaterThanOrEqual(3);
    expect(items.filter(({ action }) => action === 'upgrades.create').length).toBe(3);
  });
});
