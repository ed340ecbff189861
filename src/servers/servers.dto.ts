import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  IsIn,
  IsInt,
  IsObject,
  IsOptional,
  IsString,
  Length,
  Matches,
  Max,
  MaxLength,
  Min,
  ValidateIf,
  ValidateNested,
} from 'class-validator';
import { IsIdentifier } from '../api/name-param.js';
import { IsPemCertificate } from './is-pem-certificate.js';

const TLS_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;

/** Host names and addresses, also IPv6; not folders of sockets, which would be the service's own machine. */
const HOST = /^[^\s/@?#\\'"]+$/;
const HOST_RULE = { message: 'must be a host name or an address' };

const given = (_object: unknown, value: unknown): boolean => value !== undefined;
const givenNotNull = (_object: unknown, value: unknown): boolean => value !== undefined && value !== null;

export class TlsDto {
  @ApiProperty({ enum: TLS_MODES, description: "As libpq's sslmode.", example: 'verify-full' })
  @IsIn(TLS_MODES)
  mode: (typeof TLS_MODES)[number];

  @ApiPropertyOptional({
    description: 'PEM of the authority that signed the server; default: those the system trusts.',
  })
  @IsOptional()
  @IsString()
  @MaxLength(100_000)
  @IsPemCertificate()
  ca?: string;
}

/** A path or `system`; not checked here, for the file lies on another host. */
const ROOT_CERT = /^(system|\/[^\0\r\n]+|[A-Za-z]:[\\/][^\0\r\n]+)$/;

export class AdvertisedTlsDto {
  @ApiPropertyOptional({ enum: TLS_MODES, description: "sslmode of a subscription's connection; default: `tls.mode`." })
  @ValidateIf(given)
  @IsIn(TLS_MODES)
  mode?: (typeof TLS_MODES)[number];

  @ApiPropertyOptional({
    maxLength: 1000,
    example: '/etc/ssl/company-ca.pem',
    description:
      'sslrootcert: where the connecting server finds the authority that signed this one, a path on its host, or ' +
      '`system` (from 16 on, with verify-full). Default: ~/.postgresql/root.crt of the account that server runs under.',
  })
  @ValidateIf(given)
  @IsString()
  @MaxLength(1000)
  @Matches(ROOT_CERT, { message: 'must be an absolute path or "system"' })
  rootCert?: string;
}

const ADVERTISED_TLS = {
  type: AdvertisedTlsDto,
  nullable: true,
  description: 'How other servers connect to this one, if not as Lockstep does; null: as Lockstep does.',
};

export class RegisterServerDto {
  @ApiProperty({ maxLength: 63, example: 'orders-14', description: 'Any characters, at most 63 bytes.' })
  @IsIdentifier()
  @Matches(/^(?!\.{1,2}$)/, { message: 'must not be "." or "..", which paths cannot carry' })
  name: string;

  @ApiProperty({ maxLength: 255, example: '127.0.0.1' })
  @IsString()
  @Length(1, 255)
  @Matches(HOST, HOST_RULE)
  host: string;

  @ApiProperty({ type: 'integer', minimum: 1, maximum: 65535, example: 5414 })
  @IsInt()
  @Min(1)
  @Max(65535)
  port: number;

  @ApiProperty({ maxLength: 63, example: 'postgres' })
  @IsIdentifier()
  user: string;

  @ApiProperty({ maxLength: 1000, format: 'password', description: 'Stored encrypted; never given out.' })
  @IsString()
  @Length(1, 1000)
  password: string;

  @ApiPropertyOptional({ maxLength: 63, default: 'postgres', description: 'For questions about the whole server.' })
  @ValidateIf(given)
  @IsIdentifier()
  database: string = 'postgres';

  @ApiPropertyOptional({ type: TlsDto, description: 'Default: `prefer`.' })
  @ValidateIf(given)
  @IsObject({ message: 'must be an object' })
  @ValidateNested()
  @Type(() => TlsDto)
  tls?: TlsDto;

  @ApiPropertyOptional({
    type: String,
    nullable: true,
    maxLength: 255,
    description: 'What other servers use to reach this one, if it differs from `host`.',
  })
  @ValidateIf(givenNotNull)
  @IsString()
  @Length(1, 255)
  @Matches(HOST, HOST_RULE)
  advertisedHost?: string | null;

  @ApiPropertyOptional({
    description: 'As `advertisedHost`, for the port.',
    type: 'integer',
    nullable: true,
    minimum: 1,
    maximum: 65535,
  })
  @ValidateIf(givenNotNull)
  @IsInt()
  @Min(1)
  @Max(65535)
  advertisedPort?: number | null;

  @ApiPropertyOptional(ADVERTISED_TLS)
  @ValidateIf(givenNotNull)
  @IsObject({ message: 'must be an object' })
  @ValidateNested()
  @Type(() => AdvertisedTlsDto)
  advertisedTls?: AdvertisedTlsDto | null;

  @ApiPropertyOptional({
    type: 'integer',
    nullable: true,
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
    example: 50_000_000_000,
    description:
      'Bytes of WAL that a replication slot may keep on this server before its disk is in danger; null: not known. Slots are held against it, or against max_slot_wal_keep_size where that is nearer.',
  })
  @ValidateIf(givenNotNull)
  @IsInt()
  @Min(1)
  @Max(Number.MAX_SAFE_INTEGER)
  walBudgetBytes?: number | null;
}

/** Only the fields to change; null clears `advertisedHost`, `advertisedPort`, `advertisedTls` and `walBudgetBytes`. */
export class ChangeServerDto {
  @ApiPropertyOptional({ description: 'Host name or address.', maxLength: 255 })
  @ValidateIf(given)
  @IsString()
  @Length(1, 255)
  @Matches(HOST, HOST_RULE)
  host?: string;

  @ApiPropertyOptional({ description: 'TCP port.', type: 'integer', minimum: 1, maximum: 65535 })
  @ValidateIf(given)
  @IsInt()
  @Min(1)
  @Max(65535)
  port?: number;

  @ApiPropertyOptional({ description: 'Login of Lockstep on the server.', maxLength: 63 })
  @ValidateIf(given)
  @IsIdentifier()
  user?: string;

  @ApiPropertyOptional({
    maxLength: 1000,
    format: 'password',
    description: 'Needed where the change would have the stored one sent elsewhere, also when it stays as it is.',
  })
  @ValidateIf(given)
  @IsString()
  @Length(1, 1000)
  password?: string;

  @ApiPropertyOptional({ description: 'For questions about the whole server.', maxLength: 63 })
  @ValidateIf(given)
  @IsIdentifier()
  database?: string;

  @ApiPropertyOptional({ type: TlsDto, description: 'Replaces mode and CA together.' })
  @ValidateIf(given)
  @IsObject({ message: 'must be an object' })
  @ValidateNested()
  @Type(() => TlsDto)
  tls?: TlsDto;

  @ApiPropertyOptional({ description: 'Null: as `host`.', type: String, nullable: true, maxLength: 255 })
  @ValidateIf(givenNotNull)
  @IsString()
  @Length(1, 255)
  @Matches(HOST, HOST_RULE)
  advertisedHost?: string | null;

  @ApiPropertyOptional({ description: 'Null: as `port`.', type: 'integer', nullable: true, minimum: 1, maximum: 65535 })
  @ValidateIf(givenNotNull)
  @IsInt()
  @Min(1)
  @Max(65535)
  advertisedPort?: number | null;

  @ApiPropertyOptional(ADVERTISED_TLS)
  @ValidateIf(givenNotNull)
  @IsObject({ message: 'must be an object' })
  @ValidateNested()
  @Type(() => AdvertisedTlsDto)
  advertisedTls?: AdvertisedTlsDto | null;

  @ApiPropertyOptional({
    type: 'integer',
    nullable: true,
    minimum: 1,
    maximum: Number.MAX_SAFE_INTEGER,
    example: 50_000_000_000,
    description:
      'Bytes of WAL that a replication slot may keep on this server before its disk is in danger; null: not known. Slots are held against it, or against max_slot_wal_keep_size where that is nearer.',
  })
  @ValidateIf(givenNotNull)
  @IsInt()
  @Min(1)
  @Max(Number.MAX_SAFE_INTEGER)
  walBudgetBytes?: number | null;
}
