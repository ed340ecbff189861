import { Injectable, type OnModuleInit } from '@nestjs/common';
import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import { type Page, cursorKey, pageOf } from '../api/page.js';
import { Config } from '../config/config.js';
import { registerSecret } from '../observability/redact.js';
import type { Actor } from '../observability/request-context.js';
import { Problem } from '../problems/problem.js';
import { secretFile } from '../storage/secret-file.js';
import type { ApiTokenEntity } from './api-token.entity.js';
import { ApiTokenRepository } from './api-token.repository.js';
import type { TokenScope } from './scope.decorator.js';

export type TokenView = Omit<ApiTokenEntity, 'tokenHash'>;

interface NewToken {
  name: string;
  scope: TokenScope;
  expiresAt: Date | null;
}

/** Name of the token that is there from the start. */
const FIRST_TOKEN = 'admin';

/** Bearer tokens: 32 random bytes, kept only as a hash. */
@Injectable()
export class TokensService implements OnModuleInit {
  constructor(
    private readonly config: Config,
    private readonly tokens: ApiTokenRepository,
  ) {}

  /** The admin token of the environment wins; without one, the first start makes one and leaves it in a file. */
  async onModuleInit(): Promise<void> {
    const { adminToken, dataDir } = this.config;
    if (adminToken !== null) {
      registerSecret(adminToken);
      await this.tokens.setEnvironmentToken({ id: randomUUID(), name: FIRST_TOKEN, tokenHash: hashOf(adminToken) });
      return;
    }
    await this.tokens.ensureFirstAdmin(() => {
      // The file comes first: after a crash in between, the next start stores the token the file already holds.
      const token = secretFile(join(dataDir, 'admin-token'), newToken);
      return { id: randomUUID(), name: FIRST_TOKEN, tokenHash: hashOf(token) };
    });
  }

  /** Whose token it is; a Problem when it is unknown, expired or revoked, without saying which. */
  async authenticate(token: string): Promise<Actor> {
    const hash = hashOf(token);
    const found = await this.tokens.findByHash(hash);
    const valid =
      found !== null &&
      timingSafeEqual(found.tokenHash, hash) &&
      found.revokedAt === null &&
      (found.expiresAt === null || found.expiresAt > new Date());
    if (!valid) throw new Problem('UNAUTHENTICATED', 'The token is not valid');
    if (!isFresh(found.lastUsedAt)) await this.tokens.touch(found.id);
    return { id: found.id, name: found.name, scope: found.scope };
  }

  /** Refuses what `create` would refuse. */
  async checkCreate(input: NewToken): Promise<void> {
    requireFuture(input.expiresAt);
    if (await this.tokens.isTaken(input.name)) throw nameTaken(input.name);
  }

  /** The only time the token itself is known. */
  async create(input: NewToken): Promise<TokenView & { token: string }> {
    requireFuture(input.expiresAt);
    const token = newToken();
    const row = { id: randomUUID(), ...input, origin: 'api' as const, createdAt: new Date() };
    const inserted = await this.tokens.insert({ ...row, tokenHash: hashOf(token) });
    if (!inserted) throw nameTaken(input.name);
    return { ...row, revokedAt: null, lastUsedAt: null, token };
  }

  async list(limit: number, cursor?: string): Promise<Page<TokenView>> {
    const key = cursorKey(cursor, 'text', 'uuid');
    const rows = await this.tokens.page(limit + 1, key && { name: key[0]!, id: key[1]! });
    return pageOf(rows, limit, ({ name, id }) => [name, id]);
  }

  async revoke(id: string, dryRun: boolean): Promise<void> {
    const outcome = await this.tokens.revoke(id, dryRun);
    if (outcome === 'unknown') throw new Problem('NOT_FOUND', 'there is no live token with this id');
    if (outcome === 'last-admin') {
      throw new Problem('CONFLICT', 'this is the last live admin token', { hint: 'Create another admin token first.' });
    }
  }
}

function requireFuture(expiresAt: Date | null): void {
  if (expiresAt === null || expiresAt > new Date()) return;
  throw new Problem('INVALID_INPUT', 'The token would already have expired', {
    errors: [{ pointer: '#/expiresAt', detail: 'must be in the future' }],
  });
}

function nameTaken(name: string): Problem {
  return new Problem('ALREADY_EXISTS', `there is a live token named "${name}"`);
}

/** Whether the use noted last is of this minute, so that most requests cost a statement less. */
function isFresh(lastUsedAt: Date | null): boolean {
  // Absolute: where the database's clock runs ahead of ours, it decides.
  return lastUsedAt !== null && Math.abs(Date.now() - lastUsedAt.getTime()) < 60_000;
}

function newToken(): string {
  return `lst_${randomBytes(32).toString('base64url')}`;
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
