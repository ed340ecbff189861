import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { IdempotencyKeyEntity } from './idempotency-key.entity.js';

/** How long an answer is kept. */
const KEPT = `interval '24 hours'`;
/** How long an execution may be silent before another may take its place. Renewed three times as often. */
export const LEASE_SECONDS = 60;

export type ClaimedRequest = Pick<IdempotencyKeyEntity, 'tokenId' | 'keyHash' | 'requestHash' | 'owner'>;

export type KeptAnswer = Pick<IdempotencyKeyEntity, 'status' | 'location' | 'body'>;

@Injectable()
export class IdempotencyRepository {
  constructor(private readonly dataSource: DataSource) {}

  /**
   * Makes the key this execution's; null then. Otherwise the row of the execution that has it. A row without an
   * answer whose lease is over was left by a process that died: the same request may take it.
   */
  async claim(request: ClaimedRequest): Promise<IdempotencyKeyEntity | null> {
    await this.dataSource.query(`delete from lockstep.idempotency_key where created_at < now() - ${KEPT}`);
    for (;;) {
      const claimed = await this.dataSource.query<unknown[]>(
        `insert into lockstep.idempotency_key as k (token_id, key_hash, request_hash, owner, lease_until)
         values ($1, $2, $3, $4, now() + make_interval(secs => $5))
         on conflict (token_id, key_hash) do update
            set owner = excluded.owner, lease_until = excluded.lease_until, created_at = now()
          where k.status is null and k.lease_until < now() and k.request_hash = excluded.request_hash
         returning 1`,
        [request.tokenId, request.keyHash, request.requestHash, request.owner, LEASE_SECONDS],
      );
      if (claimed.length === 1) return null;
      const { tokenId, keyHash } = request;
      const holder = await this.dataSource.getRepository(IdempotencyKeyEntity).findOneBy({ tokenId, keyHash });
      // Gone between the two statements: its execution failed and gave the key back.
      if (holder) return holder;
    }
  }

  async renew({ tokenId, keyHash, owner }: ClaimedRequest): Promise<void> {
    await this.dataSource.query(
      `update lockstep.idempotency_key set lease_until = now() + make_interval(secs => $4)
        where token_id = $1 and key_hash = $2 and owner = $3 and status is null`,
      [tokenId, keyHash, owner, LEASE_SECONDS],
    );
  }

  async complete(request: ClaimedRequest, answer: KeptAnswer): Promise<void> {
    await this.dataSource.query(
      `update lockstep.idempotency_key set status = $4, location = $5, body = $6::json
        where token_id = $1 and key_hash = $2 and owner = $3 and status is null`,
      [
        request.tokenId,
        request.keyHash,
        request.owner,
        answer.status,
        answer.location,
        answer.body === undefined ? null : JSON.stringify(answer.body),
      ],
    );
  }

  async giveBack({ tokenId, keyHash, owner }: ClaimedRequest): Promise<void> {
    await this.dataSource.query(
      'delete from lockstep.idempotency_key where token_id = $1 and key_hash = $2 and owner = $3 and status is null',
      [tokenId, keyHash, owner],
    );
  }
}
