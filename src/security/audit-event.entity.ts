import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';

/** `started` that stays says that the service died while the request ran, so its effect is unknown. */
export type AuditOutcome = 'started' | 'succeeded' | 'dry-run' | 'refused' | 'failed';

@Entity({ name: 'audit_event', schema: 'lockstep' })
export class AuditEventEntity {
  /** bigint, so text. */
  @PrimaryGeneratedColumn('identity', { type: 'bigint', generatedIdentity: 'ALWAYS' })
  id: string;

  @Column('timestamptz', { default: () => 'clock_timestamp()' })
  at: Date;

  @Column('timestamptz', { name: 'finished_at', nullable: true })
  finishedAt: Date | null;

  @Column('uuid', { name: 'token_id', nullable: true })
  tokenId: string | null;

  @Column('text', { nullable: true })
  actor: string | null;

  @Column('text')
  action: string;

  @Column('text')
  subject: string;

  @Column('text', { name: 'request_id', nullable: true })
  requestId: string | null;

  @Column('text', { name: 'remote_address', nullable: true })
  remoteAddress: string | null;

  @Column('text')
  outcome: AuditOutcome;

  @Column('int', { nullable: true })
  status: number | null;

  @Column('text', { array: true, default: '{}' })
  sql: string[];

  @Column('jsonb', { default: {} })
  details: Record<string, unknown>;
}
