import { Body, Controller, Delete, Get, HttpCode, Patch, Post, Query, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation, ApiPropertyOptional, ApiTags } from '@nestjs/swagger';
import { IsIn, IsOptional } from 'class-validator';
import type { Response } from 'express';
import { DryRun } from '../api/dry-run.js';
import { ExampleBodies } from '../api/example-body.js';
import { NameParam } from '../api/name-param.js';
import { ApiPage, type Page, PageQuery } from '../api/page.js';
import { PlanDto } from '../changes/plan.dto.js';
import type { PlannedStatement } from '../changes/change.js';
import { SubscriptionPlanDto } from './subscription-plan.dto.js';
import { DroppedSubscriptionDto, SubscriptionDto } from './subscription.dto.js';
import { CreateSubscriptionDto, PatchSubscriptionDto, RefreshSubscriptionDto } from './subscriptions.dto.js';
import * as examples from './subscriptions.examples.js';
import { SubscriptionsService } from './subscriptions.service.js';

const SLOT_CHOICES = ['drop', 'keep'] as const;

export class DropSubscriptionQuery {
  @ApiPropertyOptional({
    enum: SLOT_CHOICES,
    default: 'drop',
    description: '`drop`: also the slot on the publisher; `keep`: leave the slot there, for a publisher that is gone.',
  })
  @IsOptional()
  @IsIn(SLOT_CHOICES)
  slot: (typeof SLOT_CHOICES)[number] = 'drop';
}

@ApiTags('subscriptions')
@Controller('v1/servers/:server/databases/:database/subscriptions')
export class SubscriptionsController {
  constructor(private readonly subscriptions: SubscriptionsService) {}

  @Get()
  @ApiOperation({ summary: 'List subscriptions' })
  @ApiPage(SubscriptionDto, examples.SUBSCRIPTION)
  list(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @Query() query: PageQuery,
  ): Promise<Page<SubscriptionDto>> {
    return this.subscriptions.page(server, database, query);
  }

  @Post()
  @ApiOperation({
    summary: 'Create a subscription',
    description:
      'With a registered publisher the slot is created first, with a deadline; without one, by the subscriber.',
  })
  @ExampleBodies(CreateSubscriptionDto, examples.CREATE_SUBSCRIPTION)
  @ApiCreatedResponse({ type: SubscriptionDto, example: examples.NEW_SUBSCRIPTION })
  async create(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @Body() body: CreateSubscriptionDto,
    @DryRun(SubscriptionPlanDto, examples.CREATE_PLAN) dryRun: boolean,
    @Res({ passthrough: true }) response: Response,
  ): Promise<SubscriptionDto | SubscriptionPlanDto> {
    const { slotDeadlineMs, ...request } = body;
    const options = { dryRun, ...(slotDeadlineMs === undefined ? {} : { slotDeadlineMs }) };
    const { result, ...planned } = await this.subscriptions.create(server, database, request, options);
    if (result === null) return planned;
    response.location(`${response.req.path}/${encodeURIComponent(result.name)}`);
    return result;
  }

  @Get(':subscription')
  @ApiOperation({ summary: 'One subscription', description: 'As both ends see it now.' })
  @ApiOkResponse({ type: SubscriptionDto, example: examples.SUBSCRIPTION })
  get(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('subscription') subscription: string,
  ): Promise<SubscriptionDto> {
    return this.subscriptions.get(server, database, subscription);
  }

  @Patch(':subscription')
  @ApiOperation({ summary: 'Change a subscription', description: 'Everything not named stays.' })
  @ExampleBodies(PatchSubscriptionDto, examples.PATCH_SUBSCRIPTION)
  @ApiOkResponse({ type: SubscriptionDto, example: examples.SUBSCRIPTION })
  async patch(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('subscription') subscription: string,
    @Body() body: PatchSubscriptionDto,
    @DryRun(SubscriptionPlanDto, examples.PATCH_PLAN) dryRun: boolean,
  ): Promise<SubscriptionDto | SubscriptionPlanDto> {
    return fullAnswer(await this.subscriptions.patch(server, database, subscription, body, { dryRun }));
  }

  @Post(':subscription/enable')
  @HttpCode(200)
  @ApiOperation({ summary: 'Enable a subscription' })
  @ApiOkResponse({ type: SubscriptionDto, example: examples.SUBSCRIPTION })
  async enable(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('subscription') subscription: string,
    @DryRun(SubscriptionPlanDto, examples.ENABLE_PLAN) dryRun: boolean,
  ): Promise<SubscriptionDto | SubscriptionPlanDto> {
    return fullAnswer(await this.subscriptions.enable(server, database, subscription, { dryRun }));
  }

  @Post(':subscription/disable')
  @HttpCode(200)
  @ApiOperation({ summary: 'Disable a subscription', description: 'Waits, up to 10 s, until its workers have ended.' })
  @ApiOkResponse({ type: SubscriptionDto, example: examples.DISABLED_SUBSCRIPTION })
  async disable(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('subscription') subscription: string,
    @DryRun(PlanDto, examples.DISABLE_PLAN) dryRun: boolean,
  ): Promise<SubscriptionDto | PlanDto> {
    return answer(await this.subscriptions.disable(server, database, subscription, { dryRun }));
  }

  @Post(':subscription/refresh')
  @HttpCode(200)
  @ApiOperation({
    summary: "Take up the publications' current tables",
    description: 'Needs an enabled subscription. A dry run tells which tables come and which go.',
  })
  @ExampleBodies(RefreshSubscriptionDto, examples.REFRESH_SUBSCRIPTION, { required: false })
  @ApiOkResponse({ type: SubscriptionDto, example: examples.NEW_SUBSCRIPTION })
  async refresh(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('subscription') subscription: string,
    @Body() body: RefreshSubscriptionDto,
    @DryRun(SubscriptionPlanDto, examples.REFRESH_PLAN) dryRun: boolean,
  ): Promise<SubscriptionDto | SubscriptionPlanDto> {
    const options = { dryRun, ...(body.copyData === undefined ? {} : { copyData: body.copyData }) };
    return fullAnswer(await this.subscriptions.refresh(server, database, subscription, options));
  }

  @Delete(':subscription')
  @ApiOperation({
    summary: 'Drop a subscription',
    description:
      'With its slot, for which the publisher must answer. Where it does not, the refusal says how to go on: with ' +
      '`?slot=keep` the subscription is disabled, parted from its slot and dropped; the slot that stays is recorded ' +
      'and listed at `/v1/orphaned-slots`.',
  })
  @ApiOkResponse({ type: DroppedSubscriptionDto, example: examples.DROPPED })
  async drop(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('subscription') subscription: string,
    @Query() { slot }: DropSubscriptionQuery,
    @DryRun(SubscriptionPlanDto, examples.DROP_PLAN) dryRun: boolean,
  ): Promise<DroppedSubscriptionDto | SubscriptionPlanDto> {
    return fullAnswer(await this.subscriptions.drop(server, database, subscription, slot, { dryRun }));
  }
}

function answer({ statements, result }: { statements: PlannedStatement[]; result: SubscriptionDto | null }) {
  return result ?? { statements };
}

function fullAnswer<T>({ result, ...plan }: SubscriptionPlanDto & { result: T | null }): T | SubscriptionPlanDto {
  return result ?? plan;
}
