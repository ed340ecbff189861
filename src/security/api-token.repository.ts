import { Injectable } from '@nestjs/common';
import { DataSource, IsNull } from 'typeorm';
import { ApiTokenEntity } from './api-token.entity.js';

/** Serialises changes to who is an admin: the first start of several instances, the revocation of the last admin. */
const ADMINS_LOCK = 7_238_002;

@Injectable()
export class ApiTokenRepository {
  constructor(private readonly dataSource: DataSource) {}

  private get tokens() {
    return this.dataSource.getRepository(ApiTokenEntity);
  }

  findByHash(tokenHash: Buffer): Promise<ApiTokenEntity | null> {
    return this.tokens.findOneBy({ tokenHash });
  }

  /** False when a live token has that name. */
  async insert(token: Partial<ApiTokenEntity>): Promise<boolean> {
    const inserted = await this.tokens.createQueryBuilder().insert().values(token).orIgnore().returning('id').execute();
    return (inserted.raw as unknown[]).length === 1;
  }

  /** Whether a live token has that name; an expired one is live until it is revoked. */
  isTaken(name: string): Promise<boolean> {
    return this.tokens.existsBy({ name, revokedAt: IsNull() });
  }

  /** By name, then id, after the given key; revoked ones included. */
  page(limit: number, after: { name: string; id: string } | null): Promise<ApiTokenEntity[]> {
    const query = this.tokens.createQueryBuilder('t').orderBy('t.name').addOrderBy('t.id').limit(limit);
    if (after) query.where('(t.name, t.id) > (:name::text, :id::uuid)', after);
    return query.getMany();
  }

  /** Notes the use, at most once a minute per token. */
  async touch(id: string): Promise<void> {
    await this.dataSource.query(
      `update lockstep.api_token set last_used_at = now()
        where id = $1 and (last_used_at is null or last_used_at < now() - interval '1 minute')`,
      [id],
    );
  }

  /** Revokes unless that would leave no live admin token; in a dry run answers only what it would come to. */
  revoke(id: string, dryRun: boolean): Promise<'revoked' | 'unknown' | 'last-admin'> {
    return this.dataSource.transaction(async (manager) => {
      await manager.query('select pg_advisory_xact_lock($1)', [ADMINS_LOCK]);
      const token = await manager.findOneBy(ApiTokenEntity, { id, revokedAt: IsNull() });
      if (!token) return 'unknown';
      const [others] = await manager.query<{ found: boolean }[]>(
        `select exists (select from lockstep.api_token where scope = 'admin' and id <> $1 and revoked_at is null
                           and (expires_at is null or expires_at > now())) as found`,
        [id],
      );
      if (token.scope === 'admin' && !others!.found) return 'last-admin';
      if (!dryRun) await manager.update(ApiTokenEntity, { id }, { revokedAt: new Date() });
      return 'revoked';
    });
  }

  /** Makes the hash the one of the admin token given by the environment, replacing an earlier one. */
  async setEnvironmentToken(token: Pick<ApiTokenEntity, 'id' | 'name' | 'tokenHash'>): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await manager.query('select pg_advisory_xact_lock($1)', [ADMINS_LOCK]);
      const same = await manager.findOneBy(ApiTokenEntity, { tokenHash: token.tokenHash });
      // First, for the name is free to one live token only.
      await manager.query(
        `update lockstep.api_token set revoked_at = now()
          where (origin = 'environment' or name = $2) and token_hash <> $1 and revoked_at is null`,
        [token.tokenHash, token.name],
      );
      if (same) {
        // One that was revoked may have lost its name to another since.
        const name = same.revokedAt === null ? same.name : token.name;
        await manager.update(
          ApiTokenEntity,
          { id: same.id },
          { name, origin: 'environment', scope: 'admin', revokedAt: null, expiresAt: null },
        );
      }
      if (!same) await manager.insert(ApiTokenEntity, { ...token, scope: 'admin', origin: 'environment' });
    });
  }

  /** At the very first start: stores the token that `make` yields. Does nothing when an admin token was ever made. */
  async ensureFirstAdmin(make: () => Pick<ApiTokenEntity, 'id' | 'name' | 'tokenHash'>): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await manager.query('select pg_advisory_xact_lock($1)', [ADMINS_LOCK]);
      if (await manager.existsBy(ApiTokenEntity, { scope: 'admin' })) return;
      await manager.insert(ApiTokenEntity, { ...make(), scope: 'admin', origin: 'generated' });
    });
  }
}
