import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { UpgradeFacts } from './facts.js';
import type { PreflightResult } from './preflight/check.js';
import type { Gate, UpgradePhase, UpgradeRequest } from './upgrade-request.js';

export interface VerificationSummary {
  id: string;
  verdict: string | null;
  verifiedLsn: string | null;
}

@Entity({ name: 'upgrade', schema: 'lockstep' })
export class UpgradeEntity {
  @PrimaryColumn('text')
  name: string;

  /** Part of every object's name on the servers: `lockstep_<shortId>`. */
  @Column('text', { name: 'short_id' })
  shortId: string;

  /** The operation that carries the upgrade at the moment. */
  @Column('uuid', { name: 'operation_id' })
  operationId: string;

  @Column('jsonb')
  request: UpgradeRequest;

  /** Writer passwords, encrypted; null when none were given. */
  @Column('text', { nullable: true })
  secrets: string | null;

  @Column('text')
  phase: UpgradePhase;

  @Column('text', { nullable: true })
  awaiting: Gate | null;

  @Column('text', { name: 'write_to', nullable: true })
  writeTo: 'source' | 'target' | null;

  @Column('jsonb')
  preflight: PreflightResult[];

  /** Without the fingerprints; see `UpgradeRepository.fingerprints`. */
  @Column('jsonb')
  facts: UpgradeFacts;

  @Column('jsonb', { nullable: true })
  verification: VerificationSummary | null;

  @Column('jsonb', { nullable: true })
  problem: Record<string, unknown> | null;

  /** Grows with each retry; part of the engine's step names. */
  @Column('int')
  attempt: number;

  @Column('timestamptz', { name: 'abort_requested_at', nullable: true })
  abortRequestedAt: Date | null;

  /** Set when the target is about to be opened: from here abort is refused and rollback is the way back. */
  @Column('timestamptz', { name: 'opening_at', nullable: true })
  openingAt: Date | null;

  @Column('timestamptz', { name: 'created_at' })
  createdAt: Date;

  @Column('timestamptz', { name: 'updated_at' })
  updatedAt: Date;
}
