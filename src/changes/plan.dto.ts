import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import type { PlannedStatement } from './change.js';

export class PlannedStatementDto implements PlannedStatement {
  @ApiProperty({ example: 'orders-14', description: 'The server it runs on.' })
  server: string;

  @ApiProperty({ example: 'orders' })
  database: string;

  @ApiProperty({ example: 'drop publication "orders_pub"', description: 'Exactly what is run; secrets are hidden.' })
  sql: string;

  @ApiProperty({ description: 'False: it cannot run inside a transaction block.' })
  transactional: boolean;

  @ApiProperty({ example: 'SHARE UPDATE EXCLUSIVE on each listed table: does not block reads or writes' })
  lock: string;

  @ApiPropertyOptional({
    example: 'Subscriptions to it stop with an error.',
    description: 'What is to be expected of it: what is copied, sent, kept or lost. Where missing, see `does`.',
  })
  effect?: string;
}

/** The answer to `?dryRun=true`. */
export class PlanDto {
  @ApiPropertyOptional({ example: 'Revokes the token.', description: 'What is done that no statement shows.' })
  does?: string;

  @ApiProperty({
    type: [PlannedStatementDto],
    description: 'For managed servers, in the order they would run; empty where nothing is changed on any.',
  })
  statements: PlannedStatementDto[];
}

/** A dry run of what changes nothing on managed servers. */
export function onlyHere(does: string): PlanDto {
  return { does, statements: [] };
}
