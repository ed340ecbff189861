import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { BesideRows } from './beside-rows.service.js';
import type { Pacing } from './at-rest/pacing.js';
import type { VerificationProgress, Verdict } from './at-rest/link-verification.js';
import type { TableName } from './at-rest/table-shape.js';

export const VERIFICATION_KINDS = ['at-rest', 'in-motion'] as const;
export type VerificationKind = (typeof VERIFICATION_KINDS)[number];

/** A comparison of a link, its request and what came out. Its id is its operation's id. */
@Entity({ name: 'verification', schema: 'lockstep' })
export class VerificationEntity {
  @PrimaryColumn('uuid')
  id: string;

  @Column('text')
  kind: VerificationKind;

  @Column('text', { name: 'subscriber_server' })
  subscriberServer: string;

  @Column('text', { name: 'subscriber_database' })
  subscriberDatabase: string;

  @Column('text')
  subscription: string;

  @Column('text', { name: 'publisher_server' })
  publisherServer: string;

  @Column('text', { name: 'publisher_database' })
  publisherDatabase: string;

  /** Null: every table of the link. */
  @Column('jsonb', { nullable: true })
  tables: TableName[] | null;

  /** All in one bound pair, as far as that decides it; else in chunks. */
  @Column('boolean', { name: 'single_lsn' })
  singleLsn: boolean;

  /** Of one in chunks. */
  @Column('jsonb', { nullable: true })
  pacing: Pacing | null;

  /** How often a process went on with what another one had begun. */
  @Column('integer')
  resumed: number;

  /** What the last of these did not compare again. */
  @Column('bigint', { name: 'rows_kept' })
  rowsKept: number;

  /** What it waits for before the next chunk; null: nothing. */
  @Column('text', { name: 'waits_for', nullable: true })
  waitsFor: string | null;

  @Column('integer', { name: 'max_parallel' })
  maxParallel: number;

  @Column('text', { nullable: true })
  verdict: Verdict | null;

  @Column('text', { nullable: true })
  reason: string | null;

  /** `X/Y`. */
  @Column('text', { name: 'verified_lsn', nullable: true })
  verifiedLsn: string | null;

  /** What was done; null: nothing was compared, or not yet. */
  @Column('boolean', { name: 'at_one_lsn', nullable: true })
  atOneLsn: boolean | null;

  @Column('text', { nullable: true })
  method: 'own-slot' | 'positions' | null;

  @Column('text', { name: 'method_reason', nullable: true })
  methodReason: string | null;

  @Column('jsonb', { nullable: true })
  progress: VerificationProgress | null;

  /** Null: not compared, or not yet. */
  @Column('jsonb', { name: 'beside_rows', nullable: true })
  besideRows: BesideRows | null;

  @Column('timestamptz', { name: 'created_at' })
  createdAt: Date;

  @Column('timestamptz', { name: 'started_at', nullable: true })
  startedAt: Date | null;

  @Column('timestamptz', { name: 'finished_at', nullable: true })
  finishedAt: Date | null;
}
