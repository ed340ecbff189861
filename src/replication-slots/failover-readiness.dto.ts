import { ApiProperty } from '@nestjs/swagger';
import type { FailoverReadiness, StandbyReadiness } from './failover-readiness.js';

class StandbyReadinessDto implements StandbyReadiness {
  @ApiProperty({ example: 'orders-standby' })
  server: string;

  @ApiProperty({
    type: Boolean,
    nullable: true,
    description: 'Were it promoted now, the reader of the slot could go on there; null: not known.',
  })
  ready: boolean | null;

  @ApiProperty({ type: [String], description: 'What keeps it from being ready, is not known, or may end it.' })
  reasons: string[];
}

export class FailoverReadinessDto implements FailoverReadiness {
  @ApiProperty({
    type: Boolean,
    nullable: true,
    description: 'True: every registered standby is ready; false: one is not, or the slot is none to fail over.',
  })
  ready: boolean | null;

  @ApiProperty({ type: [String], description: 'Where the slot itself decides, or no standby is known.' })
  reasons: string[];

  @ApiProperty({ type: [StandbyReadinessDto] })
  standbys: StandbyReadinessDto[];
}
