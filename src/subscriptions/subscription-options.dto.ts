import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsBoolean, IsIn, Matches, ValidateIf } from 'class-validator';

const STREAMING = ['off', 'on', 'parallel'] as const;
const ORIGINS = ['any', 'none'] as const;
const SYNCHRONOUS_COMMIT = ['on', 'off', 'local', 'remote_write', 'remote_apply'] as const;

/** Null is refused where leaving the field out means "the server's default". */
const present = (_object: unknown, value: unknown) => value !== undefined;

function Flag(description: string): PropertyDecorator {
  return (target, property) => {
    ApiPropertyOptional({ type: Boolean, description })(target, property);
    ValidateIf(present)(target, property);
    IsBoolean()(target, property);
  };
}

/** Options that may be changed later; absent: unchanged, or at creation the server's default. */
export class SubscriptionSettingsDto {
  @ApiPropertyOptional({
    type: String,
    nullable: true,
    example: 'orders_sub',
    description: 'Default: the name of the subscription. Null: no slot.',
  })
  @ValidateIf((_object, value) => value !== undefined && value !== null)
  @Matches(/^[a-z0-9_]{1,63}$/, { message: 'must be 1 to 63 characters of a-z, 0-9 and _, or null' })
  slotName?: string | null;

  @Flag('14 and newer: values travel in binary form.')
  binary?: boolean;

  @ApiPropertyOptional({ enum: STREAMING, description: '14 and newer; `parallel` 16 and newer.' })
  @ValidateIf(present)
  @IsIn(STREAMING)
  streaming?: (typeof STREAMING)[number];

  @Flag('15 and newer; changed later only on 18 and while disabled.')
  twoPhase?: boolean;

  @Flag('15 and newer.')
  disableOnError?: boolean;

  @ApiPropertyOptional({ enum: ORIGINS, description: '16 and newer, on both sides.' })
  @ValidateIf(present)
  @IsIn(ORIGINS)
  origin?: (typeof ORIGINS)[number];

  @Flag('17 and newer, on both sides; changed only while disabled.')
  failover?: boolean;

  @ApiPropertyOptional({ enum: SYNCHRONOUS_COMMIT })
  @ValidateIf(present)
  @IsIn(SYNCHRONOUS_COMMIT)
  synchronousCommit?: (typeof SYNCHRONOUS_COMMIT)[number];

  @Flag('16 and newer; false needs a superuser.')
  passwordRequired?: boolean;

  @Flag('16 and newer.')
  runAsOwner?: boolean;
}

export class SubscriptionOptionsDto extends SubscriptionSettingsDto {
  @Flag('Default true.')
  enabled?: boolean;

  @Flag('Copy the rows that are there; default true.')
  copyData?: boolean;

  @Flag('Default true. False: the slot exists already.')
  createSlot?: boolean;
}
