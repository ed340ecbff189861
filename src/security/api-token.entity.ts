import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { TokenScope } from './scope.decorator.js';

/** `environment`: LOCKSTEP_ADMIN_TOKEN; `generated`: made at first start; `api`: made by a caller. */
export type TokenOrigin = 'environment' | 'generated' | 'api';

@Entity({ name: 'api_token', schema: 'lockstep' })
export class ApiTokenEntity {
  @PrimaryColumn('uuid')
  id: string;

  @Column('text')
  name: string;

  @Column('text')
  scope: TokenScope;

  @Column('text')
  origin: TokenOrigin;

  /** SHA-256 of the token; the token itself is nowhere. */
  @Column('bytea', { name: 'token_hash', unique: true })
  tokenHash: Buffer;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @Column('timestamptz', { name: 'expires_at', nullable: true })
  expiresAt: Date | null;

  @Column('timestamptz', { name: 'revoked_at', nullable: true })
  revokedAt: Date | null;

  @Column('timestamptz', { name: 'last_used_at', nullable: true })
  lastUsedAt: Date | null;
}
