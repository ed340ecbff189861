import { ApiProperty } from '@nestjs/swagger';
import { PlannedStatementDto } from '../../changes/plan.dto.js';
import { PreflightResultDto } from '../upgrade-view.js';
import type { PlannedStep, UpgradePlan } from './upgrade-plan.js';

export class PlannedStepDto implements PlannedStep {
  @ApiProperty({ example: 'replication-slot' })
  step: string;

  @ApiProperty({ example: 'copy', description: 'The phase that the upgrade shows while it runs.' })
  phase: string;

  @ApiProperty({ example: 'Creates the slot.', description: 'In words, what no statement shows included.' })
  does: string;

  @ApiProperty({ enum: ['source', 'target'], isArray: true, description: 'What it changes; empty: it only reads.' })
  sides: ('source' | 'target')[];

  @ApiProperty({ type: [PlannedStatementDto], description: 'As far as they are known before, in order.' })
  statements: PlannedStatementDto[];

  @ApiProperty({ description: 'It is undone by an abort or, inside the fence, by a failure.' })
  undo: boolean;
}

/** The answer to a dry run of an action on an upgrade. */
export class UpgradePlanDto implements UpgradePlan {
  @ApiProperty({ example: 'Takes the gate copy and goes on.' })
  does: string;

  @ApiProperty({ type: [PlannedStepDto], description: 'In order; steps that are done already are left out.' })
  steps: PlannedStepDto[];

  @ApiProperty({
    type: String,
    nullable: true,
    example: 'awaits approval of switchover',
    description: 'What the upgrade does once these steps are done.',
  })
  then: string | null;
}

/** The answer to a dry run of starting an upgrade. */
export class NewUpgradePlanDto {
  @ApiProperty({ type: [PreflightResultDto] })
  preflight: PreflightResultDto[];

  @ApiProperty({
    type: [PlannedStepDto],
    description: 'All of them, whatever gates are in between. Names are examples.',
  })
  steps: PlannedStepDto[];
}

/** What the checks alone found. */
export class PreflightAnswerDto {
  @ApiProperty({ type: [PreflightResultDto] })
  preflight: PreflightResultDto[];

  @ApiProperty({ description: 'Something that failed stops an upgrade.' })
  blocked: boolean;
}
