import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type as Convert } from 'class-transformer';
import {
  ArrayNotEmpty,
  IsArray,
  IsBoolean,
  IsIn,
  IsObject,
  IsOptional,
  ValidateIf,
  ValidateNested,
} from 'class-validator';
import { IsIdentifier } from '../api/name-param.js';
import { PageQuery } from '../api/page.js';
import { PlanDto } from '../changes/plan.dto.js';
import type { MovedSequence, SequenceSync, SyncRequest } from './link-sequences.service.js';
import { type ComparedSequence, type Position, type SequenceVerdict, VERDICTS } from './sequence-comparison.js';

const nullable = true;

export class LinkSequencesQuery extends PageQuery {
  @ApiPropertyOptional({ enum: VERDICTS, description: 'Only sequences of this verdict.' })
  @IsOptional()
  @IsIn(VERDICTS)
  verdict?: SequenceVerdict;
}

class SequencePositionDto implements Position {
  @ApiProperty({ example: '1042' })
  lastValue: string;

  @ApiProperty({ description: 'False: `lastValue` was not handed out yet.' })
  isCalled: boolean;
}

class SequenceNameDto {
  @ApiProperty({ example: 'public' })
  @IsIdentifier()
  schema: string;

  @ApiProperty({ example: 'orders_id_seq' })
  @IsIdentifier()
  name: string;
}

export class ComparedSequenceDto extends SequenceNameDto implements ComparedSequence {
  @ApiProperty({
    enum: VERDICTS,
    description:
      'The subscriber against the publisher, by the next value. `behind`: it would hand out values that the publisher ' +
      'handed out; `ahead`: it stands further, or the publisher has cycled; `missing`: on the publisher only; `extra`: ' +
      'on the subscriber only; `incomparable`: they count in opposite directions; `unknown`: one cannot be read.',
  })
  verdict: SequenceVerdict;

  @ApiProperty({ type: SequencePositionDto, nullable, description: 'Null: not there, or not known.' })
  publisher: SequencePositionDto | null;

  @ApiProperty({ type: SequencePositionDto, nullable, description: 'Null: not there, or not known.' })
  subscriber: SequencePositionDto | null;

  @ApiProperty({ type: String, nullable, description: 'Why it is not known, or cannot be set.' })
  reason: string | null;
}

export class SyncSequencesDto implements SyncRequest {
  @ApiPropertyOptional({
    default: false,
    description: 'Sets also those that stand further on the subscriber: it may hand out values a second time.',
  })
  @ValidateIf((_object: unknown, value: unknown) => value !== undefined)
  @IsBoolean()
  force?: boolean;

  @ApiPropertyOptional({ type: [SequenceNameDto], description: 'Only these; left out: all that the publisher has.' })
  @ValidateIf((_object: unknown, value: unknown) => value !== undefined)
  @IsArray()
  @ArrayNotEmpty()
  @IsObject({ each: true })
  @ValidateNested({ each: true })
  @Convert(() => SequenceNameDto)
  sequences?: SequenceNameDto[];
}

class MovedSequenceDto extends SequenceNameDto implements MovedSequence {
  @ApiProperty({ type: SequencePositionDto })
  from: SequencePositionDto;

  @ApiProperty({ type: SequencePositionDto })
  to: SequencePositionDto;
}

class LeftSequenceDto extends ComparedSequenceDto {
  @ApiProperty({ type: String, description: 'Why it was left.' })
  declare reason: string;
}

export class SequenceSyncDto implements SequenceSync {
  @ApiProperty({ type: [MovedSequenceDto], description: 'Set on the subscriber.' })
  moved: MovedSequenceDto[];

  @ApiProperty({ type: [LeftSequenceDto], description: 'Asked for, not equal, and not set.' })
  left: LeftSequenceDto[];
}

export class SequenceSyncPlanDto extends PlanDto implements SequenceSync {
  @ApiProperty({ type: [MovedSequenceDto], description: 'What would be set on the subscriber.' })
  moved: MovedSequenceDto[];

  @ApiProperty({ type: [LeftSequenceDto], description: 'Asked for, not equal, and not to be set.' })
  left: LeftSequenceDto[];
}
