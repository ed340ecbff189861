import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsIn, IsISO8601, IsOptional, IsString, Length } from 'class-validator';
import { TOKEN_SCOPES, type TokenScope } from './scope.decorator.js';

export class CreateTokenDto {
  @ApiProperty({ minLength: 1, maxLength: 100, example: 'deploy-pipeline' })
  @IsString()
  @Length(1, 100)
  name: string;

  @ApiProperty({
    enum: TOKEN_SCOPES,
    example: 'operate',
    description: '`read`: every GET; `operate`: also every change; `admin`: also tokens and the audit log.',
  })
  @IsIn(TOKEN_SCOPES)
  scope: TokenScope;

  @ApiPropertyOptional({ format: 'date-time', example: '2027-01-01T00:00:00Z', description: 'Default: never.' })
  @IsOptional()
  @IsISO8601({ strict: true })
  expiresAt?: string;
}

export class TokenDto {
  @ApiProperty({ format: 'uuid' })
  id: string;

  @ApiProperty({ example: 'deploy-pipeline' })
  name: string;

  @ApiProperty({ enum: TOKEN_SCOPES })
  scope: TokenScope;

  @ApiProperty({ format: 'date-time' })
  createdAt: string;

  @ApiProperty({ type: String, format: 'date-time', nullable: true })
  expiresAt: string | null;

  @ApiProperty({ type: String, format: 'date-time', nullable: true })
  revokedAt: string | null;

  @ApiProperty({ type: String, format: 'date-time', nullable: true, description: 'To the minute.' })
  lastUsedAt: string | null;
}

export class CreatedTokenDto extends TokenDto {
  @ApiPropertyOptional({
    example: 'lst_…',
    description: 'The token. Shown this once; a repeat with the same `Idempotency-Key` answers without it.',
  })
  token?: string;
}
