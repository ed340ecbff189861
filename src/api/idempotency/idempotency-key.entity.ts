import { Column, Entity, PrimaryColumn } from 'typeorm';

/** One POST made under an `Idempotency-Key`, and its answer once there is one (`status` is then set). */
@Entity({ name: 'idempotency_key', schema: 'lockstep' })
export class IdempotencyKeyEntity {
  @PrimaryColumn('uuid', { name: 'token_id' })
  tokenId: string;

  @PrimaryColumn('bytea', { name: 'key_hash' })
  keyHash: Buffer;

  /** Keyed hash of method, path and body. */
  @Column('bytea', { name: 'request_hash' })
  requestHash: Buffer;

  /** Which execution of the request the row belongs to. */
  @Column('uuid')
  owner: string;

  /** While there is no answer: until when the execution is believed to be alive. */
  @Column('timestamptz', { name: 'lease_until' })
  leaseUntil: Date;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @Column('int', { nullable: true })
  status: number | null;

  @Column('text', { nullable: true })
  location: string | null;

  @Column('json', { nullable: true })
  body: unknown;
}
