import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { ERROR_CODES, type ErrorCode } from './error-codes.js';

export class InputErrorDto {
  @ApiProperty({ example: '#/tls/mode', description: '`#/a/b` in the body, `query:name`, `path:name`.' })
  pointer: string;

  @ApiProperty({ example: 'must be one of the following values: disable, prefer' })
  detail: string;
}

/** The problem document as the API description shows it; `Problem.toDocument` makes it. */
export class ProblemDto {
  @ApiProperty({ example: 'urn:lockstep:problem:not-found' })
  type: string;

  @ApiProperty({ example: 'There is no such resource' })
  title: string;

  @ApiProperty({ type: 'integer', example: 404 })
  status: number;

  @ApiProperty({ example: 'there is no server named "orders-14"' })
  detail: string;

  @ApiProperty({ enum: Object.keys(ERROR_CODES), enumName: 'ErrorCode', description: 'Stable.' })
  code: ErrorCode;

  @ApiProperty({ description: 'Whether the same request may succeed later without a change by the caller.' })
  retryable: boolean;

  @ApiPropertyOptional({ example: '/v1/servers/orders-14' })
  instance?: string;

  @ApiPropertyOptional({ description: 'Also in `X-Request-Id`, in the log and in the audit event.' })
  requestId?: string;

  @ApiPropertyOptional({ description: 'What to do about it.' })
  hint?: string;

  @ApiPropertyOptional({ example: '42501', description: 'Where a PostgreSQL server reported the error.' })
  sqlstate?: string;

  @ApiPropertyOptional({ type: [InputErrorDto] })
  errors?: InputErrorDto[];
}
