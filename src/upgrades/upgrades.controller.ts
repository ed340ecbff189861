import { Body, Controller, Delete, Get, Headers, HttpCode, Post, Query, Req, Res } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiHeader,
  ApiNoContentResponse,
  ApiOkResponse,
  ApiOperation,
  ApiProduces,
  ApiTags,
} from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { DryRun } from '../api/dry-run.js';
import { ExampleBody } from '../api/example-body.js';
import { NameParam } from '../api/name-param.js';
import { ApiPage, type Page, PageQuery } from '../api/page.js';
import { onlyHere, PlanDto } from '../changes/plan.dto.js';
import { lastEventId, sendEvents } from '../operations/event-stream.js';
import { Problem } from '../problems/problem.js';
import { NewUpgradePlanDto, PreflightAnswerDto, UpgradePlanDto } from './plan/upgrade-plan.dto.js';
import * as plans from './plan/upgrade-plan.examples.js';
import { renderMarkdown, upgradeReport } from './report/upgrade-report.js';
import { specFrom } from './upgrade-spec.js';
import { UpgradeDto } from './upgrade-view.js';
import { AbortDto, ApproveDto, CreateUpgradeDto, PreflightDto, RollbackDto } from './upgrades.dto.js';
import * as examples from './upgrades.examples.js';
import { UpgradesService } from './upgrades.service.js';

const FORGETS = onlyHere('Forgets the upgrade, its steps and events. Nothing of it is left on the servers.');

@ApiTags('upgrades')
@Controller('v1/upgrades')
export class UpgradesController {
  constructor(private readonly upgrades: UpgradesService) {}

  @Post()
  @HttpCode(202)
  @ApiOperation({
    summary: 'Start an upgrade',
    description:
      'Runs to the first gate by itself; `awaiting` says when it needs an approval. A dry run answers with the preflight results and the steps with the SQL known so far, and starts nothing.',
  })
  @ExampleBody(CreateUpgradeDto, examples.CREATE_UPGRADE)
  @ApiAcceptedResponse({ type: UpgradeDto, example: examples.NEW_UPGRADE })
  async create(
    @Body() body: CreateUpgradeDto,
    @DryRun(NewUpgradePlanDto, plans.NEW_UPGRADE_PLAN) dryRun: boolean,
    @Res({ passthrough: true }) response: Response,
  ): Promise<UpgradeDto | NewUpgradePlanDto> {
    const spec = specFrom(body);
    if (dryRun) return await this.upgrades.plan(spec);
    const upgrade = await this.upgrades.create(spec);
    response.location(`/v1/operations/${upgrade.operationId}`);
    return await this.view(upgrade.name);
  }

  @Post('preflight')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Run the checks of an upgrade only',
    description: 'Changes nothing anywhere, dry run or not. With the body of the upgrade; its name may be left out.',
  })
  @ExampleBody(PreflightDto, examples.CREATE_UPGRADE)
  @ApiOkResponse({ type: PreflightAnswerDto, example: plans.PREFLIGHT })
  async preflight(
    @Body() body: PreflightDto,
    @DryRun(PreflightAnswerDto, plans.PREFLIGHT) _dryRun: boolean,
  ): Promise<PreflightAnswerDto> {
    const preflight = await this.upgrades.preflight(specFrom({ ...body, name: body.name ?? 'preflight' }));
    return { preflight, blocked: preflight.some((result) => !result.passed && result.severity === 'blocker') };
  }

  @Get()
  @ApiOperation({ summary: 'List upgrades by name' })
  @ApiPage(UpgradeDto, ...examples.UPGRADES)
  async list(@Query() query: PageQuery): Promise<Page<UpgradeDto>> {
    const page = await this.upgrades.list(query.limit, query.cursor);
    const items = await Promise.all(
      page.items.map(async (upgrade) => UpgradeDto.from(upgrade, await this.upgrades.steps(upgrade.name))),
    );
    return { ...page, items };
  }

  @Get(':upgrade')
  @ApiOperation({ summary: 'Where an upgrade stands' })
  @ApiOkResponse({ type: UpgradeDto, example: examples.AWAITING_UPGRADE })
  read(@NameParam('upgrade') name: string): Promise<UpgradeDto> {
    return this.view(name);
  }

  @Post(':upgrade/approve')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Approve the awaited gate',
    description:
      '409 when that gate is not awaited. A dry run tells what follows up to the next gate; of the switchover also, by a look at the source, which roles would be barred and how.',
  })
  @ExampleBody(ApproveDto, { gate: 'switchover' })
  @ApiOkResponse({ type: UpgradeDto, example: examples.APPROVED_UPGRADE })
  async approve(
    @NameParam('upgrade') name: string,
    @Body() { gate }: ApproveDto,
    @DryRun(UpgradePlanDto, plans.APPROVAL_PLAN) dryRun: boolean,
  ): Promise<UpgradeDto | UpgradePlanDto> {
    if (dryRun) return await this.upgrades.planApproval(name, gate);
    await this.upgrades.approve(name, gate);
    return await this.view(name);
  }

  @Post(':upgrade/abort')
  @HttpCode(202)
  @ApiOperation({
    summary: 'Abort before the target is open',
    description:
      'Puts the source back exactly as recorded and drops on the target only what the upgrade created. What cannot be undone keeps nothing else back. With `leave` "source" the target keeps its tables, rows and roles. The body may be left out.',
  })
  @ExampleBody(AbortDto, {}, { required: false })
  @ApiAcceptedResponse({ type: UpgradeDto, example: examples.ABORTING_UPGRADE })
  abort(
    @NameParam('upgrade') name: string,
    @Body() body: AbortDto | undefined,
    @DryRun(UpgradePlanDto, plans.ABORT_PLAN) dryRun: boolean,
    @Res({ passthrough: true }) response: Response,
  ): Promise<UpgradeDto | UpgradePlanDto> {
    const leave = body?.leave ?? null;
    return dryRun ? this.upgrades.planAbort(name, leave) : this.started(response, this.upgrades.abort(name, leave));
  }

  @Post(':upgrade/rollback')
  @HttpCode(202)
  @ApiOperation({
    summary: 'Bring traffic back to the source',
    description:
      'With every write made on the target. Afterwards the target follows again and `retry` tries once more. The body may be left out.',
  })
  @ExampleBody(RollbackDto, { verification: 'before' }, { required: false })
  @ApiAcceptedResponse({ type: UpgradeDto, example: examples.ROLLING_BACK_UPGRADE })
  rollback(
    @NameParam('upgrade') name: string,
    @Body() body: RollbackDto | undefined,
    @DryRun(UpgradePlanDto, plans.ROLLBACK_PLAN) dryRun: boolean,
    @Res({ passthrough: true }) response: Response,
  ): Promise<UpgradeDto | UpgradePlanDto> {
    if (body?.leave === 'source') {
      return dryRun ? this.upgrades.planLeaveSource(name) : this.started(response, this.upgrades.leaveSource(name));
    }
    const verification = body?.verification ?? 'before';
    return dryRun
      ? this.upgrades.planRollback(name, verification)
      : this.started(response, this.upgrades.rollback(name, verification));
  }

  @Post(':upgrade/finalize')
  @HttpCode(202)
  @ApiOperation({
    summary: 'Make it final',
    description: 'Drops everything the upgrade made for itself on both servers. There is no way back after it.',
  })
  @ApiAcceptedResponse({ type: UpgradeDto, example: examples.FINALIZING_UPGRADE })
  finalize(
    @NameParam('upgrade') name: string,
    @DryRun(UpgradePlanDto, plans.FINALIZE_PLAN) dryRun: boolean,
    @Res({ passthrough: true }) response: Response,
  ): Promise<UpgradeDto | UpgradePlanDto> {
    return dryRun ? this.upgrades.planFinalize(name) : this.started(response, this.upgrades.finalize(name));
  }

  @Post(':upgrade/retry')
  @HttpCode(202)
  @ApiOperation({ summary: 'Go on where it failed, or switch over again after a rollback' })
  @ApiAcceptedResponse({ type: UpgradeDto, example: examples.RETRIED_UPGRADE })
  retry(
    @NameParam('upgrade') name: string,
    @DryRun(UpgradePlanDto, plans.RETRY_PLAN) dryRun: boolean,
    @Res({ passthrough: true }) response: Response,
  ): Promise<UpgradeDto | UpgradePlanDto> {
    return dryRun ? this.upgrades.planRetry(name) : this.started(response, this.upgrades.retry(name));
  }

  @Delete(':upgrade')
  @HttpCode(204)
  @ApiOperation({ summary: 'Forget an upgrade that was finalized or aborted' })
  @ApiNoContentResponse()
  async remove(
    @NameParam('upgrade') name: string,
    @DryRun(PlanDto, FORGETS) dryRun: boolean,
  ): Promise<PlanDto | undefined> {
    await this.upgrades.remove(name, dryRun);
    return dryRun ? FORGETS : undefined;
  }

  @Get(':upgrade/report')
  @ApiOperation({ summary: 'What the upgrade did, for the record', description: '`Accept: text/markdown` or JSON.' })
  @ApiOkResponse({
    content: {
      'application/json': { schema: { type: 'object' }, example: examples.REPORT },
      'text/markdown': { schema: { type: 'string' }, example: renderMarkdown(examples.REPORT) },
    },
  })
  async report(@NameParam('upgrade') name: string, @Req() request: Request, @Res() response: Response): Promise<void> {
    const report = upgradeReport(await this.upgrades.get(name), await this.upgrades.steps(name));
    const wanted = request.accepts(['application/json', 'text/markdown', 'text/plain']);
    if (wanted === false) throw new Problem('NOT_ACCEPTABLE', 'ask for application/json or text/markdown');
    if (wanted === 'application/json') response.json(report);
    else response.type('text/markdown').send(renderMarkdown(report));
  }

  @Get(':upgrade/events')
  @ApiOperation({
    summary: 'Follow an upgrade (server-sent events)',
    description: 'Phases, steps and where to write. `Last-Event-ID` resumes; the stream ends with the upgrade.',
  })
  @ApiProduces('text/event-stream')
  @ApiOkResponse({ schema: { type: 'string' } })
  @ApiHeader({ name: 'Last-Event-ID', required: false, description: 'Sequence number of the last event seen.' })
  async events(
    @NameParam('upgrade') name: string,
    @Res() response: Response,
    @Headers('Last-Event-ID') last?: string,
  ): Promise<void> {
    const after = lastEventId(last);
    await this.upgrades.get(name);
    await sendEvents(response, {
      after,
      ended: async () => ['finalized', 'aborted'].includes((await this.upgrades.get(name)).phase),
      read: (seq, limit) => this.upgrades.eventsAfter(name, seq, limit),
    });
  }

  private async view(name: string): Promise<UpgradeDto> {
    return UpgradeDto.from(await this.upgrades.get(name), await this.upgrades.steps(name));
  }

  private async started(
    response: Response,
    action: Promise<{ name: string; operationId: string }>,
  ): Promise<UpgradeDto> {
    const { name, operationId } = await action;
    response.location(`/v1/operations/${operationId}`);
    return await this.view(name);
  }
}
