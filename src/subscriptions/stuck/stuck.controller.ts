import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { DryRun } from '../../api/dry-run.js';
import { ExampleBodies } from '../../api/example-body.js';
import { NameParam } from '../../api/name-param.js';
import { PlanDto } from '../../changes/plan.dto.js';
import { parseLsn } from '../../shared/lsn.js';
import { DiagnosisService } from './diagnosis.service.js';
import { SkipService } from './skip.service.js';
import * as examples from './stuck.examples.js';
import { DiagnoseDto, DiagnosisDto, SkippedSubscriptionDto, SkipPlanDto, SkipTransactionDto } from './stuck.dto.js';

@ApiTags('subscriptions')
@Controller('v1/servers/:server/databases/:database/subscriptions')
export class StuckController {
  constructor(
    private readonly diagnosis: DiagnosisService,
    private readonly skips: SkipService,
  ) {}

  @Post(':subscription/diagnose')
  @HttpCode(200)
  @ApiOperation({
    summary: 'What a subscription is stuck on',
    description:
      'Watches it for up to 6 s and meanwhile reads what the publisher would send next, through a temporary copy of ' +
      'its slot (`lockstep_p_…`) that ends with the session: it needs REPLICATION, a free replication slot and a ' +
      'walsender for that time. Nothing else is changed, and nothing is left.',
  })
  @ExampleBodies(DiagnoseDto, examples.DIAGNOSE, { required: false })
  @ApiOkResponse({ type: DiagnosisDto, example: examples.DIAGNOSIS })
  async diagnose(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('subscription') subscription: string,
    @Body() { mostChanges }: DiagnoseDto,
    @DryRun(PlanDto, examples.DIAGNOSIS_PLAN) dryRun: boolean,
  ): Promise<DiagnosisDto | PlanDto> {
    if (!dryRun) return (await this.diagnosis.diagnose(server, database, subscription, { mostChanges })).diagnosis;
    const does = 'Watches the subscription and reads the stream of its publisher.';
    return { does, statements: await this.diagnosis.plan(server, database, subscription) };
  }

  @Post(':subscription/skip')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Skip the transaction a subscription is stuck on',
    description:
      'All its changes are lost on the subscriber; the answer, and before it a dry run, tells which. 15 and newer. ' +
      'Refused for any other transaction unless `force` is given, and for a COMMIT PREPARED or ROLLBACK PREPARED, which ' +
      'the server does not skip; a PREPARE that is skipped is prepared empty. Its tables need a verification afterwards. Reads ' +
      'the publisher as a diagnosis does, also in a dry run.',
  })
  @ExampleBodies(SkipTransactionDto, examples.SKIP)
  @ApiOkResponse({ type: SkippedSubscriptionDto, example: examples.SKIPPED })
  async skip(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('subscription') subscription: string,
    @Body() { lsn, force = false, mostChanges }: SkipTransactionDto,
    @DryRun(SkipPlanDto, examples.SKIP_PLAN) dryRun: boolean,
  ): Promise<SkippedSubscriptionDto | SkipPlanDto> {
    const request = { lsn: lsn === null ? null : parseLsn(lsn), force, mostChanges };
    const { statements, result, ...loss } = await this.skips.skip(server, database, subscription, request, { dryRun });
    return result === null ? { statements, ...loss } : { ...result, ...loss };
  }
}
