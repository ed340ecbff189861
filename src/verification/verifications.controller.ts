import { Body, Controller, Get, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { DryRun } from '../api/dry-run.js';
import { ExampleBody } from '../api/example-body.js';
import { UuidPipe } from '../api/name-param.js';
import { ApiPage, type Page, PageQuery } from '../api/page.js';
import { PlanDto } from '../changes/plan.dto.js';
import { Problem } from '../problems/problem.js';
import { DEFAULT_PACING, type Pacing } from './at-rest/pacing.js';
import { presentVerification } from './present-verification.js';
import { VerificationDto } from './verification.dto.js';
import { CreateVerificationDto } from './verifications.dto.js';
import * as examples from './verifications.examples.js';
import { VerificationPlanDto } from './verification-plan.dto.js';
import { VerificationsService } from './verifications.service.js';

@ApiTags('verifications')
@Controller('v1/verifications')
export class VerificationsController {
  constructor(private readonly verifications: VerificationsService) {}

  @Post()
  @HttpCode(202)
  @ApiOperation({
    summary: 'Compare a link',
    description:
      'Exact while both sides are written to; nothing is paused. For its duration a replication slot `lockstep_v_…` on ' +
      'the publisher and, where the subscriber has wal_level=logical, a slot and publications `lockstep_s_…` there. A dry run looks at both ends and tells which tables would be ' +
      'compared and how.',
  })
  @ExampleBody(CreateVerificationDto, examples.CREATE_VERIFICATION)
  @ApiAcceptedResponse({ type: VerificationDto, example: examples.QUEUED_VERIFICATION })
  async create(
    @Body() body: CreateVerificationDto,
    @DryRun(VerificationPlanDto, examples.VERIFICATION_PLAN) dryRun: boolean,
    @Res({ passthrough: true }) response: Response,
  ): Promise<VerificationDto | VerificationPlanDto> {
    const { kind, subscriber, tables, singleLsn = false, maxParallel = 2 } = body;
    const pacing = requestedPacing(body);
    const request = { kind, subscriber, tables: tables ?? null, singleLsn, maxParallel, pacing };
    if (dryRun) return await this.verifications.plan(request);
    const created = await this.verifications.create(request);
    response.location(`/v1/operations/${created.id}`);
    return presentVerification(created);
  }

  @Get()
  @ApiOperation({ summary: 'List verifications, newest first', description: 'Without their tables.' })
  @ApiPage(VerificationDto, examples.LISTED_VERIFICATION)
  async list(@Query() query: PageQuery): Promise<Page<VerificationDto>> {
    const page = await this.verifications.list(query.limit, query.cursor);
    return { ...page, items: page.items.map(presentVerification) };
  }

  @Get(':id')
  @ApiOperation({ summary: 'State, verdict and tables of one verification' })
  @ApiOkResponse({ type: VerificationDto, example: examples.VERIFICATION })
  async read(@Param('id', UuidPipe) id: string): Promise<VerificationDto> {
    return presentVerification(await this.verifications.get(id));
  }

  @Post(':id/cancel')
  @HttpCode(202)
  @ApiOperation({ summary: 'Cancel a verification', description: 'It ends once nothing of it is left on the servers.' })
  @ApiAcceptedResponse({ type: VerificationDto, example: examples.CANCELLED_VERIFICATION })
  async cancel(
    @Param('id', UuidPipe) id: string,
    @DryRun(PlanDto, examples.CANCEL_PLAN) dryRun: boolean,
  ): Promise<VerificationDto | PlanDto> {
    if (dryRun) {
      const statements = await this.verifications.planCancel(id);
      return { does: 'Stops comparing, then removes what it made on both servers, where it is there.', statements };
    }
    return presentVerification(await this.verifications.cancel(id));
  }
}

function requestedPacing({ singleLsn, pacing }: CreateVerificationDto): Pacing {
  if (singleLsn === true && pacing !== undefined) {
    throw new Problem('INVALID_INPUT', 'pacing is of verifications in chunks, singleLsn asks for one at one LSN', {
      errors: [{ pointer: '#/pacing', detail: 'excludes singleLsn' }],
    });
  }
  const given = Object.entries(pacing ?? {}).filter(([, value]) => value !== undefined);
  return { ...DEFAULT_PACING, ...Object.fromEntries(given) };
}
