import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Body, Controller, Get, HttpCode, Injectable, Module, Post, Query } from '@nestjs/common';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Problem } from '../../src/problems/problem.js';
import { noteSql } from '../../src/security/audit-trail.js';
import { Public } from '../../src/security/public.decorator.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { ApiUnderTest } from './security-app.js';

/** Counts what it does, and can be made to wait, to refuse and to fail. */
@Injectable()
class Deeds {
  done = 0;
  next: (() => Promise<void>) | null = null;
}

@Controller('v1/deeds')
class DeedsController {
  constructor(private readonly deeds: Deeds) {}

  @Post()
  @HttpCode(202)
  async deed(@Body() _body: unknown, @Query() _query: unknown): Promise<{ deed: number }> {
    const deed = ++this.deeds.done;
    await this.deeds.next?.();
    noteSql(`alter role app password 'planted-in-sql'`);
    return { deed };
  }

  @Get('bug')
  @Public()
  bug(): never {
    throw new TypeError('planted internals at /etc/secret');
  }
}

@Module({ controllers: [DeedsController], providers: [Deeds] })
class DeedsModule {}

describe('tokens, audit, idempotency', () => {
  let server: TestServer;
  let api: ApiUnderTest;
  let deeds: Deeds;

  beforeAll(async () => {
    server = await TestServer.shared(18);
    api = await ApiUnderTest.start(server, await server.freshDatabase('security_state'), { imports: [DeedsModule] });
    deeds = api.app.get(Deeds);
  });
  afterAll(async () => {
    await api?.stop();
    await server?.stop();
  });

  async function makeToken(name: string, scope: string, more: object = {}): Promise<{ id: string; token: string }> {
    const answer = await api.post('/v1/tokens', { name, scope, ...more });
    expect(answer.status).toBe(201);
    return answer.body;
  }

  async function events(query = ''): Promise<Record<string, unknown>[]> {
    return (await api.get(`/v1/audit-events?limit=200${query}`)).body.items;
  }

  describe('tokens', () => {
    it('makes the admin token once, readable by its owner only', () => {
      const path = join(api.dataDir, 'admin-token');
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(readFileSync(path, 'utf8').trim()).toMatch(/^lst_[A-Za-z0-9_-]{43}$/);
    });

    it.each([
      ['no token', null],
      ['an unknown token', 'lst_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'],
      ['an empty token', ''],
    ])('refuses %s', async (_case, token) => {
      const answer = await api.call('GET', '/v1/servers', undefined, { token });
      expect([answer.status, answer.body.code]).toEqual([401, 'UNAUTHENTICATED']);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    });

    it('lets each scope do what it includes and nothing else', async () => {
      const allowed = async (token: string): Promise<number[]> => [
        (await api.call('GET', '/v1/servers', undefined, { token })).status,
        (await api.call('POST', '/v1/deeds', undefined, { token })).status,
        (await api.call('GET', '/v1/tokens', undefined, { token })).status,
        (await api.call('GET', '/v1/audit-events', undefined, { token })).status,
      ];
      expect(await allowed((await makeToken('reader', 'read')).token)).toEqual([200, 403, 403, 403]);
      expect(await allowed((await makeToken('operator', 'operate')).token)).toEqual([200, 202, 403, 403]);
      expect(await allowed((await makeToken('second admin', 'admin')).token)).toEqual([200, 202, 200, 200]);
    });

    it('shows a token once, lists without it, and ends it at once when revoked', async () => {
      const { id, token } = await makeToken('short-lived', 'read');
      const list = await api.get('/v1/tokens?limit=200');
      expect(list.text).not.toContain(token);
      expect(list.body.items.find((item: { id: string }) => item.id === id)).toMatchObject({ name: 'short-lived' });
      expect((await api.call('GET', '/v1/servers', undefined, { token })).status).toBe(200);
      expect((await api.call('DELETE', `/v1/tokens/${id}`)).status).toBe(204);
      expect((await api.call('GET', '/v1/servers', undefined, { token })).status).toBe(401);
      expect((await api.call('DELETE', `/v1/tokens/${id}`)).body.code).toBe('NOT_FOUND');
      expect((await api.call('DELETE', '/v1/tokens/7')).body.code).toBe('INVALID_INPUT');
    });

    it('lets a token expire', async () => {
      const past = await api.post('/v1/tokens', { name: 'past', scope: 'read', expiresAt: '2020-01-01T00:00:00Z' });
      expect(past.body).toMatchObject({ code: 'INVALID_INPUT', errors: [{ pointer: '#/expiresAt' }] });
      const expiresAt = new Date(Date.now() + 400).toISOString();
      const { token } = await makeToken('brief', 'read', { expiresAt });
      await eventually(async () => (await api.call('GET', '/v1/servers', undefined, { token })).status === 401, {
        within: 5_000,
      });
    });

    it('tells when a token was last used, to the minute', async () => {
      const { id, token } = await makeToken('used', 'read');
      const lastUsed = async (): Promise<string | null> =>
        (await api.get('/v1/tokens?limit=200')).body.items.find((item: { id: string }) => item.id === id).lastUsedAt;
      const use = async () => expect((await api.call('GET', '/v1/servers', undefined, { token })).status).toBe(200);
      expect(await lastUsed()).toBeNull();
      await use();
      const first = await lastUsed();
      expect(first).not.toBeNull();
      await use();
      expect(await lastUsed()).toBe(first);
      await server.run(
        'security_state',
        `update lockstep.api_token set last_used_at = now() - interval '2 minutes' where id = '${id}'`,
      );
      await use();
      expect(Date.parse((await lastUsed())!)).toBeGreaterThanOrEqual(Date.parse(first!));
    });

    it('refuses a name that a live token has', async () => {
      await makeToken('taken', 'read');
      expect((await api.post('/v1/tokens', { name: 'taken', scope: 'admin' })).body.code).toBe('ALREADY_EXISTS');
    });

    it('pages through the list', async () => {
      const all = (await api.get('/v1/tokens?limit=200')).body.items.map((item: { id: string }) => item.id);
      const seen: string[] = [];
      for (let cursor: string | null = ''; cursor !== null;) {
        const page: { items: { id: string }[]; nextCursor: string | null } = (
          await api.get(`/v1/tokens?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`)
        ).body;
        seen.push(...page.items.map(({ id }) => id));
        cursor = page.nextCursor;
      }
      expect(seen).toEqual(all);
    });
  });

  it('tells nobody the internals of a bug, and logs them', async () => {
    const answer = await api.call('GET', '/v1/deeds/bug', undefined, { token: null });
    expect([answer.status, answer.body.code]).toEqual([500, 'INTERNAL']);
    expect(answer.text).not.toContain('planted');
    const line = api.logLines.find((text) => text.includes('planted internals'));
    expect(JSON.parse(line!)).toMatchObject({ level: 'error', requestId: answer.body.requestId });
  });

  describe('audit', () => {
    it('tells who did what, from where, with which SQL, and how it ended', async () => {
      const answer = await api.post('/v1/deeds');
      const [event] = await events(`&requestId=${answer.headers.get('x-request-id')}`);
      expect(event).toMatchObject({
        actor: 'admin',
        action: 'deeds.deed',
        subject: 'deeds',
        outcome: 'succeeded',
        status: 202,
        sql: [`alter role app password '[redacted]'`],
      });
      expect(String(event!.remoteAddress)).toContain('127.0.0.1');
    });

    it.each([
      ['refused input', () => api.post('/v1/tokens', { name: 1 }), 'refused', 400],
      ['a refused scope', () => refusedScope(), 'refused', 403],
      ['a dry run that is not possible', () => api.post('/v1/deeds?dryRun=true'), 'refused', 422],
      ['a server that is not there', () => api.post('/v1/servers/none/check'), 'refused', 404],
      ['a bug', () => failing(), 'failed', 500],
    ])('leaves an event for %s', async (_case, act, outcome, status) => {
      const answer = await act();
      expect(answer.status).toBe(status);
      const found = await events(`&requestId=${answer.headers.get('x-request-id')}`);
      expect(found).toMatchObject([{ outcome, status, details: { problem: answer.body.code } }]);
    });

    async function refusedScope() {
      const { token } = await makeToken(`reader-${Math.random()}`, 'read');
      return api.call('POST', '/v1/deeds', undefined, { token });
    }

    async function failing() {
      deeds.next = () => Promise.reject(new Error('planted bug'));
      const answer = await api.post('/v1/deeds');
      deeds.next = null;
      return answer;
    }

    it('leaves a trace of a request during which the service died', async () => {
      let began!: () => void;
      const running = new Promise<void>((resolve) => (began = resolve));
      let end!: () => void;
      const held = new Promise<void>((resolve) => (end = resolve));
      deeds.next = async () => {
        began();
        await held;
      };
      const answer = api.call('POST', '/v1/deeds', undefined, { headers: { 'x-request-id': 'cut-off' } });
      await running;
      expect(await events('&requestId=cut-off')).toMatchObject([{ outcome: 'started', finishedAt: null }]);
      deeds.next = null;
      end();
      await answer;
    });

    it('can be filtered and paged', async () => {
      const every = await events();
      expect(every.length).toBeGreaterThan(5);
      expect((await events('&outcome=failed')).every(({ outcome }) => outcome === 'failed')).toBe(true);
      expect((await events('&subject=tokens')).length).toBe(
        every.filter(({ subject }) => String(subject).startsWith('tokens')).length,
      );
      expect(await events('&since=2100-01-01T00:00:00Z')).toEqual([]);
      const first = (await api.get('/v1/audit-events?limit=3')).body;
      const second = (await api.get(`/v1/audit-events?limit=3&cursor=${first.nextCursor}`)).body;
      const ids = [...first.items, ...second.items].map(({ id }: { id: string }) => Number(id));
      expect(ids).toEqual([...ids].sort((a, b) => b - a));
      expect(new Set(ids).size).toBe(6);
    });
  });

  describe('idempotency', () => {
    it('does a repeated request once and gives the same answer', async () => {
      const before = deeds.done;
      const first = await api.post('/v1/deeds', { a: 1, b: 2 }, { 'idempotency-key': 'same' });
      const again = await api.post('/v1/deeds', { b: 2, a: 1 }, { 'idempotency-key': 'same' });
      expect(deeds.done).toBe(before + 1);
      expect([again.status, again.body]).toEqual([first.status, first.body]);
      expect(again.headers.get('idempotent-replayed')).toBe('true');
    });

    it.each([
      ['body', () => api.post('/v1/deeds', { a: 2 }, { 'idempotency-key': 'other' })],
      ['dry run', () => api.post('/v1/deeds?x=1', { a: 1 }, { 'idempotency-key': 'other' })],
      ['path', () => api.post('/v1/servers/x/check', { a: 1 }, { 'idempotency-key': 'other' })],
    ])('refuses the key for another %s', async (_case, other) => {
      await api.post('/v1/deeds', { a: 1 }, { 'idempotency-key': 'other' });
      const before = deeds.done;
      const answer = await other();
      expect([answer.status, answer.body.code]).toEqual([409, 'IDEMPOTENCY_KEY_REUSED']);
      expect(deeds.done).toBe(before);
    });

    it('does parallel requests with one key once', async () => {
      const before = deeds.done;
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => api.post('/v1/deeds', {}, { 'idempotency-key': 'parallel' })),
      );
      expect(deeds.done).toBe(before + 1);
      for (const answer of answers) {
        if (answer.status === 409) expect(answer.body).toMatchObject({ code: 'REQUEST_IN_PROGRESS', retryable: true });
        else expect([answer.status, answer.body.deed]).toEqual([202, before + 1]);
      }
      expect((await api.post('/v1/deeds', {}, { 'idempotency-key': 'parallel' })).body.deed).toBe(before + 1);
    });

    it('keeps keys of different tokens apart', async () => {
      const { token } = await makeToken('other caller', 'operate');
      const mine = await api.post('/v1/deeds', {}, { 'idempotency-key': 'shared' });
      const theirs = await api.call('POST', '/v1/deeds', {}, { token, headers: { 'idempotency-key': 'shared' } });
      expect(theirs.body.deed).not.toBe(mine.body.deed);
    });

    it('repeats a refusal in the same words, and tries again after a failure that may pass', async () => {
      const outcomes: Error[] = [
        new Problem('WRONG_STATE', 'not now', { hint: 'later' }),
        new Problem('SERVER_UNREACHABLE', 'gone'),
        new Problem('SLOT_ACTIVE', 'busy'),
        new Error('bug'),
      ];
      for (const [at, outcome] of outcomes.entries()) {
        const headers = { 'idempotency-key': `outcome-${at}` };
        deeds.next = () => Promise.reject(outcome);
        const first = await api.post('/v1/deeds', {}, headers);
        deeds.next = null;
        const again = await api.post('/v1/deeds', {}, headers);
        if (at > 0) expect(again.status).toBe(202);
        else expect(again.body).toEqual({ ...first.body, requestId: again.body.requestId });
      }
    });

    it('takes over from a process that died, once its lease is over', async () => {
      const headers = { 'idempotency-key': 'died' };
      let began!: () => void;
      const running = new Promise<void>((resolve) => (began = resolve));
      let end!: () => void;
      const held = new Promise<void>((resolve) => (end = resolve));
      deeds.next = async () => {
        began();
        await held;
      };
      const lost = api.post('/v1/deeds', {}, headers);
      await running;
      deeds.next = null;
      expect((await api.post('/v1/deeds', {}, headers)).body.code).toBe('REQUEST_IN_PROGRESS');
      await server.run(
        'security_state',
        `update lockstep.idempotency_key set lease_until = now() - interval '1 second' where status is null`,
      );
      const taken = await api.post('/v1/deeds', {}, headers);
      expect(taken.status).toBe(202);
      end();
      await lost;
      expect((await api.post('/v1/deeds', {}, headers)).body).toEqual(taken.body);
    });

    it('keeps an answer that could not be kept at once, and does nothing twice meanwhile', async () => {
      const headers = { 'idempotency-key': 'unkept' };
      await server.run(
        'security_state',
        `create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
         create trigger refuse before update on lockstep.idempotency_key for each row
           when (new.status is not null) execute function refuse()`,
      );
      const first = await api.post('/v1/deeds', {}, headers);
      expect(first.status).toBe(202);
      expect((await api.post('/v1/deeds', {}, headers)).body.code).toBe('REQUEST_IN_PROGRESS');
      await server.run('security_state', 'drop trigger refuse on lockstep.idempotency_key');
      const again = await eventually(
        async () => {
          const answer = await api.post('/v1/deeds', {}, headers);
          return answer.status === 409 ? null : answer;
        },
        { within: 10_000, every: 100 },
      );
      expect(again.body).toEqual(first.body);
      expect(again.headers.get('idempotent-replayed')).toBe('true');
    });

    it('forgets after a day', async () => {
      const headers = { 'idempotency-key': 'old' };
      const first = await api.post('/v1/deeds', {}, headers);
      await server.run(
        'security_state',
        `update lockstep.idempotency_key set created_at = now() - interval '25 hours'`,
      );
      expect((await api.post('/v1/deeds', {}, headers)).body).not.toEqual(first.body);
    });

    it('repeats the creation of a token without the token', async () => {
      const headers = { 'idempotency-key': 'token' };
      const first = await api.post('/v1/tokens', { name: 'once', scope: 'read' }, headers);
      const again = await api.post('/v1/tokens', { name: 'once', scope: 'read' }, headers);
      const { token, ...rest } = first.body;
      expect(token).toMatch(/^lst_/);
      expect([again.status, again.body]).toEqual([201, rest]);
      expect(again.headers.get('location')).toBe(first.headers.get('location'));
    });

    it('refuses a key that is none', async () => {
      const answer = await api.post('/v1/deeds', {}, { 'idempotency-key': 'x'.repeat(256) });
      expect(answer.body).toMatchObject({ code: 'INVALID_INPUT', errors: [{ pointer: 'header:Idempotency-Key' }] });
    });
  });
});
