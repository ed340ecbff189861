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
      'Ask for all tables at one LSN. In this release it changes nothing: every verification at rest compares all ' +
      'tables in one pair of snapshots, hence at one LSN, and what that pair cannot decide in further ones. ' +
      '`singleLsn` of the answer says which it was. Later releases may compare in chunks unless this is asked for.',
  })
  @IsOptional()
  @IsBoolean()
  singleLsn?: boolean;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 1,
    maximum: 32,
    default: 2,
    description: 'Tables compared at a time; each takes a session on both servers.',
  })
  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(32)
  maxParallel?: number;
}
