import { ApiProperty } from '@nestjs/swagger';
import { COMBINATION_RULES, type RuleName } from '../postgres/ddl/options/combination-rules.js';
import type { CopyProgress, SubscriptionCopyProgress } from './copy-progress.js';
import type { SubscriptionWarning } from './subscription-warnings.js';

const RULES = Object.keys(COMBINATION_RULES) as RuleName[];
const nullable = true;

export class CopyProgressDto implements CopyProgress {
  @ApiProperty({ type: Number, nullable, description: 'Received so far; 14 and newer.' })
  rows: number | null;

  @ApiProperty({ type: Number, nullable, description: 'Received so far, in the form they are sent in; 14 and newer.' })
  bytes: number | null;

  @ApiProperty({ type: Number, nullable, description: 'Of the whole table, as the publisher estimates them.' })
  totalRows: number | null;

  @ApiProperty({ type: Number, nullable, description: "Of the whole table, on the publisher's disk." })
  totalBytes: number | null;

  @ApiProperty({ type: Number, nullable, description: 'By rows; null: not known.' })
  percent: number | null;

  @ApiProperty({ type: Number, nullable, description: 'At the pace so far; null: not known.' })
  etaSeconds: number | null;

  @ApiProperty({ type: String, nullable, description: 'Why a figure is not known.' })
  reason: string | null;
}

export class SubscriptionCopyProgressDto implements SubscriptionCopyProgress {
  @ApiProperty({ example: 12, description: 'All tables of the subscription.' })
  tables: number;

  @ApiProperty({ example: 9, description: 'Those whose copy is over.' })
  tablesCopied: number;

  @ApiProperty({ type: Number, nullable, description: "Of all its tables, on the publisher's disk." })
  totalBytes: number | null;

  @ApiProperty({ type: Number, nullable, description: 'By those bytes; null: not known.' })
  percent: number | null;

  @ApiProperty({ type: Number, nullable, description: 'At the pace of the copies that run; null: not known.' })
  etaSeconds: number | null;

  @ApiProperty({ type: String, nullable, description: 'Why a figure is not known.' })
  reason: string | null;
}

export class SubscriptionWarningDto implements SubscriptionWarning {
  @ApiProperty({ enum: RULES, example: 'older-publisher', description: 'The rule of docs/options.md it is about.' })
  rule: RuleName;

  @ApiProperty({ type: String, nullable, example: 'origin', description: 'Null: it is about no single option.' })
  option: string | null;

  @ApiProperty({ example: 'the publisher is PostgreSQL 14 and ignores origin, which needs 16 there.' })
  detail: string;
}
