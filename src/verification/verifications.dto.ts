import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsArray,
  IsBoolean,
  IsIn,
  IsInt,
  IsObject,
  IsOptional,
  Max,
  Min,
  ValidateNested,
} from 'class-validator';
import { IsIdentifier } from '../api/name-param.js';
import { NotAvailableYet } from '../api/not-available-yet.js';
import { VERIFICATION_KINDS, type VerificationKind } from './verification.entity.js';

export class SubscriptionRefDto {
  @ApiProperty({ example: 'orders-18', description: 'A registered server.' })
  @IsIdentifier()
  server: string;

  @ApiProperty({ example: 'orders' })
  @IsIdentifier()
  database: string;

  @ApiProperty({ example: 'orders_sub' })
  @IsIdentifier()
  subscription: string;
}

export class TableToVerifyDto {
  @ApiProperty({ example: 'public' })
  @IsIdentifier()
  schema: string;

  @ApiProperty({ example: 'orders' })
  @IsIdentifier()
  name: string;
}

export class PacingDto {
  @ApiPropertyOptional({
    type: 'integer',
    minimum: 100,
    maximum: 100_000_000,
    default: 10_000_000,
    description: 'Rows a chunk never has more of.',
  })
  @IsOptional()
  @IsInt()
  @Min(100)
  @Max(100_000_000)
  mostRows?: number;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: 3600,
    default: 10,
    description: 'How long a chunk should take, and its snapshots be held, in seconds; chunks grow and shrink to it.',
  })
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(3600)
  chunkSeconds?: number;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 0,
    default: 268_435_456,
    description:
      'While the subscriber is further behind its publisher no chunk is begun; one that does not catch up for a ' +
      'minute is not waited for, and the verdict says what is wrong.',
  })
  @IsOptional()
  @IsInt()
  @Min(0)
  maxLagBytes?: number;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 0,
    nullable: true,
    description:
      "The same of the WAL that the publisher keeps for the subscription's slot. Default: four fifths of " +
      'max_slot_wal_keep_size; where there is no such limit, none.',
  })
  @IsOptional()
  @IsInt()
  @Min(0)
  maxSlotBytes?: number | null;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    nullable: true,
    description:
      'While more sessions of others are at work on either server no chunk is begun, however long that is. Default: ' +
      'whatever their number. A login without pg_read_all_stats does not see them, and does not wait.',
  })
  @IsOptional()
  @IsInt()
  @Min(1)
  maxActiveSessions?: number | null;
}

export class CreateVerificationDto {
  @NotAvailableYet('#/kind', ['in-motion'])
  @ApiProperty({
    enum: VERIFICATION_KINDS,
    example: 'at-rest',
    description: '`at-rest`: tables at an LSN. `in-motion`: transactions as they pass; not available in this release.',
  })
  @IsIn(VERIFICATION_KINDS)
  kind: VerificationKind;

  @ApiProperty({ type: SubscriptionRefDto, description: 'The link to compare, by its subscription.' })
  @IsObject()
  @ValidateNested()
  @Type(() => SubscriptionRefDto)
  subscriber: SubscriptionRefDto;

  @ApiPropertyOptional({ type: [TableToVerifyDto], description: 'Default: every table of the subscription.' })
  @IsOptional()
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(10_000)
  @ValidateNested({ each: true })
  @Type(() => TableToVerifyDto)
  tables?: TableToVerifyDto[];

  @ApiPropertyOptional({
    default: false,
    description:
      'All tables at one LSN, in one pair of snapshots that is held for as long as the longest takes (what it cannot ' +
      'decide, in further ones). Without it tables are compared in chunks, each at an LSN of its own: snapshots are ' +
      'held for seconds, and a verification that was interrupted goes on with the next chunk. `singleLsn` of the ' +
      'answer says which it was: small databases are one chunk.',
  })
  @IsOptional()
  @IsBoolean()
  singleLsn?: boolean;

  @ApiPropertyOptional({ type: PacingDto, description: 'How gently it compares; not with `singleLsn`.' })
  @IsOptional()
  @IsObject()
  @ValidateNested()
  @Type(() => PacingDto)
  pacing?: PacingDto;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: 32,
    default: 2,
    description: 'Tables, or chunks of one, compared at a time; each takes a session on both servers.',
  })
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(32)
  maxParallel?: number;
}
