import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsISO8601, IsOptional, IsString, MaxLength } from 'class-validator';
import { PageQuery } from '../api/page.js';

const OUTCOMES = ['started', 'succeeded', 'dry-run', 'refused', 'failed'] as const;

export class AuditQuery extends PageQuery {
  @ApiPropertyOptional({ description: 'Name of the token.', example: 'deploy-pipeline' })
  @IsOptional()
  @IsString()
  @MaxLength(100)
  actor?: string;

  @ApiPropertyOptional({ example: 'servers.register', description: 'What was done.' })
  @IsOptional()
  @IsString()
  @MaxLength(100)
  action?: string;

  @ApiPropertyOptional({ example: 'servers/orders-14', description: 'This subject and everything below it.' })
  @IsOptional()
  @IsString()
  @MaxLength(500)
  subject?: string;

  @ApiPropertyOptional({ enum: OUTCOMES, description: 'How it ended; `started`: it has not.' })
  @IsOptional()
  @IsIn(OUTCOMES)
  outcome?: (typeof OUTCOMES)[number];

  @ApiPropertyOptional({ description: 'As in `X-Request-Id` of the answer.' })
  @IsOptional()
  @IsString()
  @MaxLength(128)
  requestId?: string;

  @ApiPropertyOptional({ format: 'date-time', description: 'Inclusive.' })
  @IsOptional()
  @IsISO8601({ strict: true })
  since?: string;

  @ApiPropertyOptional({ format: 'date-time', description: 'Exclusive.' })
  @IsOptional()
  @IsISO8601({ strict: true })
  until?: string;
}

export class AuditEventDto {
  @ApiProperty({ example: '1042' })
  id: string;

  @ApiProperty({ format: 'date-time' })
  at: string;

  @ApiProperty({ type: String, format: 'date-time', nullable: true })
  finishedAt: string | null;

  @ApiProperty({ type: String, nullable: true, description: 'Name of the token.' })
  actor: string | null;

  @ApiProperty({ type: String, nullable: true, format: 'uuid' })
  tokenId: string | null;

  @ApiProperty({ example: 'servers.register' })
  action: string;

  @ApiProperty({ example: 'servers/orders-14' })
  subject: string;

  @ApiProperty({
    description: 'As in the answer’s `X-Request-Id`; null for what no request asked for.',
    type: String,
    nullable: true,
  })
  requestId: string | null;

  @ApiProperty({ type: String, nullable: true, example: '127.0.0.1' })
  remoteAddress: string | null;

  @ApiProperty({
    enum: OUTCOMES,
    description: '`started` for long: the service died while the request ran, its effect is unknown.',
  })
  outcome: (typeof OUTCOMES)[number];

  @ApiProperty({ type: Number, nullable: true, description: 'HTTP status of the answer.' })
  status: number | null;

  @ApiProperty({ type: [String], description: 'Statements run on managed servers, without secrets.' })
  sql: string[];

  @ApiProperty({
    description: 'Further facts, for example the code of the problem; no secrets.',
    type: 'object',
    additionalProperties: true,
  })
  details: Record<string, unknown>;
}
