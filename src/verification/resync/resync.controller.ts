import { Controller, HttpCode, Post, Res } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { DryRun } from '../../api/dry-run.js';
import { NameParam } from '../../api/name-param.js';
import { PlanDto } from '../../changes/plan.dto.js';
import { OperationDto } from '../../operations/operation.dto.js';
import { OPERATION, RESYNC_PLAN } from './resync.examples.js';
import { ResyncService } from './resync.service.js';

@ApiTags('subscriptions')
@Controller('v1/servers/:server/databases/:database/subscriptions/:subscription/tables/:schema/:table')
export class ResyncController {
  constructor(private readonly resyncs: ResyncService) {}

  @Post('resync')
  @HttpCode(202)
  @ApiOperation({
    summary: 'Copy one table of a subscription afresh',
    description:
      "The other tables' rows are not touched, and no publication is changed. In one transaction on the subscriber: " +
      'whoever reads the table sees the old rows until the new ones are all there. Meanwhile applying waits at the next ' +
      'transaction that touches the table, so the lag grows by as long as the copy takes. For its duration there is a ' +
      'slot `lockstep_v_…` on the publisher. Refused where it would not be right: a subscription that is disabled, ' +
      'stuck or two-phase; a table whose rows others write, or that is published on, or with columns of its own. An ' +
      'apply worker that is away, as right after a skip, is waited for, up to 10 s. The result is an operation with `rows`, `removed`, `rolledForward` and `appliedLsn`.',
  })
  @ApiAcceptedResponse({ type: OperationDto, example: OPERATION })
  async resync(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('subscription') subscription: string,
    @NameParam('schema') schema: string,
    @NameParam('table') name: string,
    @DryRun(PlanDto, RESYNC_PLAN) dryRun: boolean,
    @Res({ passthrough: true }) response: Response,
  ): Promise<OperationDto | PlanDto> {
    const [subscriber, table] = [
      { server, database },
      { schema, name },
    ];
    if (dryRun) return this.resyncs.plan(subscriber, subscription, table);
    const operation = await this.resyncs.start(subscriber, subscription, table);
    response.location(`/v1/operations/${operation.id}`);
    return operation;
  }
}
