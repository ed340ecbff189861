import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { PlanDto } from '../changes/plan.dto.js';
import type { CopyEstimate, RefreshPreview } from './refresh-preview.js';
import { SubscriptionWarningDto } from './subscription-progress.dto.js';

const nullable = true;

class RefreshedTableDto {
  @ApiProperty({ example: 'public' })
  schema: string;

  @ApiProperty({ example: 'orders' })
  name: string;
}

class CopyEstimateDto implements CopyEstimate {
  @ApiProperty({ type: 'integer', example: 12 })
  tables: number;

  @ApiProperty({ type: 'integer', example: 103_825_408, description: 'On disk, TOAST included, indexes not.' })
  bytes: number;

  @ApiProperty({
    type: 'integer',
    nullable,
    example: 1_200_000,
    description: 'As the planner estimates them, row filters left out; null: a table was never vacuumed or analyzed.',
  })
  rows: number | null;
}

export class RefreshPreviewDto implements RefreshPreview {
  @ApiProperty({
    type: [RefreshedTableDto],
    nullable,
    description: 'Published and not subscribed yet; null: not known.',
  })
  added: RefreshedTableDto[] | null;

  @ApiProperty({
    type: [RefreshedTableDto],
    nullable,
    description: 'Subscribed and not published any more: their rows stay, changes no longer come; null: not known.',
  })
  removed: RefreshedTableDto[] | null;

  @ApiProperty({
    type: [RefreshedTableDto],
    nullable,
    description: 'Those to be added that the subscriber does not have: the refresh is refused until it does.',
  })
  absent: RefreshedTableDto[] | null;

  @ApiProperty({
    type: CopyEstimateDto,
    nullable,
    description: 'What the first copy of those added reads on the publisher; null: nothing is copied, or not known.',
  })
  copy: CopyEstimateDto | null;

  @ApiProperty({ type: String, nullable, description: 'Why it is not known.' })
  reason: string | null;
}

/** The answer to `?dryRun=true`. */
export class SubscriptionPlanDto extends PlanDto {
  @ApiProperty({ type: [SubscriptionWarningDto], description: 'What should be known; nothing is refused for it.' })
  warnings: SubscriptionWarningDto[];

  @ApiPropertyOptional({
    type: RefreshPreviewDto,
    description: 'Where the tables of the publications are taken up: which come and which go.',
  })
  tables?: RefreshPreviewDto;
}
