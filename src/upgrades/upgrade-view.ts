import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import type { SwitchoverFacts } from './facts.js';
import type { PreflightResult, PreflightRow } from './preflight/check.js';
import type { UpgradeEntity } from './upgrade.entity.js';
import type { StepRow } from './upgrade.repository.js';

const PHASES = [
  ...['preflight', 'blocked', 'prepare', 'copy', 'catch-up', 'verify', 'awaiting-approval', 'switchover', 'switched'],
  ...['finalized', 'aborting', 'aborted', 'rolling-back', 'rolled-back', 'failed'],
];

class StepDto {
  @ApiProperty({ example: 'initial-copy' })
  name: string;

  @ApiProperty({ enum: ['pending', 'running', 'done', 'failed', 'undone', 'skipped'] })
  state: string;

  @ApiProperty({ type: String, format: 'date-time', nullable: true })
  startedAt: string | null;

  @ApiProperty({ type: String, format: 'date-time', nullable: true })
  finishedAt: string | null;

  @ApiProperty({
    description: 'What it found and did; of a failed step the problem. No secrets.',
    type: Object,
    nullable: true,
  })
  detail: Record<string, unknown> | null;
}

export class PreflightResultDto implements PreflightResult {
  @ApiProperty({ example: 'replica-identity' })
  check: string;

  @ApiProperty({ enum: ['blocker', 'warning', 'info'], description: 'A blocker that failed stops the upgrade.' })
  severity: PreflightResult['severity'];

  @ApiProperty({ description: 'False also where the answer cannot be known.' })
  passed: boolean;

  @ApiProperty({ example: '1 table without replica identity: public.log' })
  observed: string;

  @ApiProperty({ example: 'every table has a replica identity' })
  expected: string;

  @ApiProperty({ type: String, nullable: true, description: 'What to do about it.' })
  remedy: string | null;

  @ApiProperty({ description: 'The statement that shows it, to be run by hand.' })
  sql: string;

  @ApiPropertyOptional({ type: 'array', items: { type: 'object' }, description: 'Up to 100 of the rows found.' })
  rows?: PreflightRow[];
}

class SwitchoverDto {
  @ApiProperty({ type: String, nullable: true, example: '0/3A52B8C0' })
  fenceLsn: string | null;

  @ApiProperty({ type: String, format: 'date-time', nullable: true })
  fencedAt: string | null;

  @ApiProperty({ type: String, format: 'date-time', nullable: true })
  drainedAt: string | null;

  @ApiProperty({ type: String, format: 'date-time', nullable: true })
  openedAt: string | null;

  @ApiProperty({
    type: Number,
    nullable: true,
    example: 412,
    description: 'From the first role barred to the target open.',
  })
  writePauseMs: number | null;

  @ApiProperty({ enum: ['held', 'violated'], nullable: true })
  fenceProof: string | null;
}

class RollbackStateDto extends SwitchoverDto {
  @ApiProperty({
    type: String,
    nullable: true,
    description: 'LSN of the target at which both sides were shown equal before the source was opened.',
  })
  verifiedLsn: string | null;

  @ApiProperty({ type: Number, nullable: true, description: 'Keys compared inside the fence.' })
  keysChecked: number | null;
}

class VerificationSummaryDto {
  @ApiProperty({ description: 'As in GET /v1/verifications/{id}.' })
  id: string;

  @ApiProperty({ description: 'Null while it runs.', type: String, nullable: true })
  verdict: string | null;

  @ApiProperty({
    description: 'Position of the publisher at which both sides were compared.',
    type: String,
    nullable: true,
  })
  verifiedLsn: string | null;
}

class EndDto {
  @ApiProperty({ description: 'Name of a registered server.' })
  server: string;

  @ApiProperty({ description: 'Database on the server.' })
  database: string;
}

export class UpgradeDto {
  @ApiProperty({ example: 'orders-14-to-18' })
  name: string;

  @ApiProperty({ enum: PHASES })
  phase: string;

  @ApiProperty({ format: 'uuid', description: 'The operation that carries it; see GET /v1/operations/{id}.' })
  operationId: string;

  @ApiProperty({ type: EndDto })
  source: EndDto;

  @ApiProperty({ type: EndDto })
  target: EndDto;

  @ApiProperty({ type: [StepDto] })
  steps: StepDto[];

  @ApiProperty({ type: [PreflightResultDto] })
  preflight: PreflightResultDto[];

  @ApiProperty({ enum: ['copy', 'switchover'], nullable: true, description: 'The gate that waits for approval.' })
  awaiting: string | null;

  @ApiProperty({
    enum: ['source', 'target'],
    nullable: true,
    description: 'Where clients may write now; null while fenced.',
  })
  writeTo: string | null;

  @ApiProperty({
    description: 'Null before the first passage through the fence, and after one that was taken back.',
    type: SwitchoverDto,
    nullable: true,
  })
  switchover: SwitchoverDto | null;

  @ApiProperty({
    type: RollbackStateDto,
    nullable: true,
    description: 'The last rollback, in the same terms: the fence is the target’s, and opened is the source.',
  })
  rollback: RollbackStateDto | null;

  @ApiProperty({ description: 'The last one; null before.', type: VerificationSummaryDto, nullable: true })
  verification: VerificationSummaryDto | null;

  @ApiProperty({ type: Object, nullable: true, description: 'Problem document of what went wrong last.' })
  problem: Record<string, unknown> | null;

  @ApiProperty({ format: 'date-time' })
  createdAt: string;

  static from(upgrade: UpgradeEntity, steps: StepRow[]): UpgradeDto {
    const { switchover, rollback } = upgrade.facts;
    return {
      name: upgrade.name,
      phase: upgrade.phase,
      operationId: upgrade.operationId,
      source: upgrade.request.source,
      target: upgrade.request.target,
      steps: steps.map((step) => ({
        name: step.name,
        state: step.state,
        startedAt: step.startedAt?.toISOString() ?? null,
        finishedAt: step.finishedAt?.toISOString() ?? null,
        detail: step.detail,
      })),
      preflight: upgrade.preflight,
      awaiting: upgrade.awaiting,
      writeTo: upgrade.writeTo,
      switchover: switchover ? passage(switchover) : null,
      rollback: rollback
        ? {
            ...passage(rollback),
            verifiedLsn: rollback.verifiedLsn ?? null,
            keysChecked: rollback.keysChecked ?? null,
          }
        : null,
      verification: upgrade.verification,
      problem: upgrade.problem,
      createdAt: upgrade.createdAt.toISOString(),
    };
  }
}

function passage(facts: SwitchoverFacts): SwitchoverDto {
  return {
    fenceLsn: facts.fenceLsn ?? null,
    fencedAt: facts.fencedAt ?? null,
    drainedAt: facts.drainedAt ?? null,
    openedAt: facts.openedAt ?? null,
    writePauseMs: facts.writePauseMs ?? null,
    fenceProof: facts.fenceProof ?? null,
  };
}
