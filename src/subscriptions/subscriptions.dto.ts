import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  ArrayMinSize,
  ArrayUnique,
  IsArray,
  IsBoolean,
  IsDefined,
  IsInt,
  IsString,
  Max,
  MaxLength,
  Min,
  ValidateIf,
  ValidateNested,
} from 'class-validator';
import { IsIdentifier } from '../api/name-param.js';
import { SubscriptionOptionsDto, SubscriptionSettingsDto } from './subscription-options.dto.js';

const present = (_object: unknown, value: unknown) => value !== undefined;

export class PublisherDto {
  @ApiProperty({ example: 'orders-14', description: 'A registered server.' })
  @IsIdentifier()
  server: string;

  @ApiProperty({ example: 'orders' })
  @IsIdentifier()
  database: string;
}

export class CreateSubscriptionDto {
  @ApiProperty({ example: 'orders_sub' })
  @IsIdentifier()
  name: string;

  @ApiPropertyOptional({ type: PublisherDto, description: 'Either this or `connection`.' })
  @ValidateIf(present)
  @ValidateNested()
  @Type(() => PublisherDto)
  publisher?: PublisherDto;

  @ApiPropertyOptional({ example: "host='db.example.org' dbname='orders' user='replicator' password='…'" })
  @ValidateIf(present)
  @IsString()
  @MaxLength(4000)
  connection?: string;

  @ApiProperty({ type: [String], example: ['orders_pub'] })
  @IsDefined()
  @IsArray()
  @ArrayMinSize(1)
  @ArrayUnique()
  @IsIdentifier({ each: true })
  publications: string[];

  @ApiPropertyOptional({ type: SubscriptionOptionsDto })
  @ValidateIf(present)
  @ValidateNested()
  @Type(() => SubscriptionOptionsDto)
  options?: SubscriptionOptionsDto;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 100,
    maximum: 600_000,
    default: 30_000,
    description: 'How long to wait for transactions that hold up the slot; the problem then names them.',
  })
  @ValidateIf(present)
  @IsInt()
  @Min(100)
  @Max(600_000)
  slotDeadlineMs?: number;
}

export class PatchSubscriptionDto {
  @ApiPropertyOptional({ example: 'orders_sub_2', description: 'A new name; the slot keeps its own.' })
  @ValidateIf(present)
  @IsIdentifier()
  name?: string;

  @ApiPropertyOptional({ example: 'replication_admin' })
  @ValidateIf(present)
  @IsIdentifier()
  owner?: string;

  @ApiPropertyOptional({ type: PublisherDto, description: 'A new address of the same publisher. Or `connection`.' })
  @ValidateIf(present)
  @ValidateNested()
  @Type(() => PublisherDto)
  publisher?: PublisherDto;

  @ApiPropertyOptional({ example: "host='db.example.org' dbname='orders' user='replicator' password='…'" })
  @ValidateIf(present)
  @IsString()
  @MaxLength(4000)
  connection?: string;

  @ApiPropertyOptional({ type: [String], example: ['orders_pub', 'billing_pub'], description: 'The whole new list.' })
  @ValidateIf(present)
  @IsArray()
  @ArrayMinSize(1)
  @ArrayUnique()
  @IsIdentifier({ each: true })
  publications?: string[];

  @ApiPropertyOptional({ type: [String], example: ['billing_pub'], description: 'Excludes `publications`.' })
  @ValidateIf(present)
  @IsArray()
  @ArrayUnique()
  @IsIdentifier({ each: true })
  addPublications?: string[];

  @ApiPropertyOptional({ type: [String], example: ['orders_pub'], description: 'Excludes `publications`.' })
  @ValidateIf(present)
  @IsArray()
  @ArrayUnique()
  @IsIdentifier({ each: true })
  removePublications?: string[];

  @ApiPropertyOptional({ description: 'Copy tables that come with new publications; default true.' })
  @ValidateIf(present)
  @IsBoolean()
  copyData?: boolean;

  // Those of the creation only are read too, so that the refusal says what to do instead.
  @ApiPropertyOptional({ type: SubscriptionSettingsDto })
  @ValidateIf(present)
  @ValidateNested()
  @Type(() => SubscriptionOptionsDto)
  options?: SubscriptionOptionsDto;

  @ApiPropertyOptional({
    default: false,
    description:
      'Take a slot of which it is not known that it goes on where applying ended: the tables then have `needsVerification`.',
  })
  @ValidateIf(present)
  @IsBoolean()
  force?: boolean;
}

export class RefreshSubscriptionDto {
  @ApiPropertyOptional({ description: 'Copy the tables that are new; default true.' })
  @ValidateIf(present)
  @IsBoolean()
  copyData?: boolean;
}
