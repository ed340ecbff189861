import { ApiProperty } from '@nestjs/swagger';
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
}

/** The answer to `?dryRun=true`. */
export class PlanDto {
  @ApiProperty({ type: [PlannedStatementDto], description: 'In the order they would run.' })
  statements: PlannedStatementDto[];
}
