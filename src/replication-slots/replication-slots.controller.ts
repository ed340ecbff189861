import { Body, Controller, Delete, Get, HttpCode, Post, Query, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { DryRun } from '../api/dry-run.js';
import { ExampleBodies } from '../api/example-body.js';
import { NameParam } from '../api/name-param.js';
import { ApiPage, type Page, PageQuery } from '../api/page.js';
import { pageOfList } from '../changes/list-page.js';
import { PlanDto } from '../changes/plan.dto.js';
import { parseLsn } from '../shared/lsn.js';
import { AdvancePlanDto } from './advance-plan.dto.js';
import { FailoverReadinessDto } from './failover-readiness.dto.js';
import { FailoverReadinessService } from './failover-readiness.js';
import {
  AdvanceReplicationSlotDto,
  CopyReplicationSlotDto,
  CreateReplicationSlotDto,
  DropReplicationSlotQuery,
  ReplicationSlotViewDto,
} from './replication-slots.dto.js';
import * as examples from './replication-slots.examples.js';
import { ReplicationSlotsService } from './replication-slots.service.js';
import { slotSpecOf } from './slot-spec.js';

@ApiTags('replication slots')
@Controller('v1/servers/:server/replication-slots')
export class ReplicationSlotsController {
  constructor(
    private readonly slots: ReplicationSlotsService,
    private readonly failover: FailoverReadinessService,
  ) {}

  @Get()
  @ApiOperation({ summary: 'List replication slots' })
  @ApiPage(ReplicationSlotViewDto, examples.SLOT_VIEW)
  async list(@NameParam('server') server: string, @Query() query: PageQuery): Promise<Page<ReplicationSlotViewDto>> {
    return pageOfList(await this.slots.list(server), query, ({ name }) => [name]);
  }

  @Post()
  @ApiOperation({
    summary: 'Create a replication slot',
    description:
      'A logical slot waits for every transaction that has written; past the deadline `blockers` names them. ' +
      'Where the server falls silent, `slotLeft` names the slot that may be there.',
  })
  @ExampleBodies(CreateReplicationSlotDto, examples.CREATE_SLOT)
  @ApiCreatedResponse({ type: ReplicationSlotViewDto, example: examples.NEW_SLOT_VIEW })
  async create(
    @NameParam('server') server: string,
    @Body() body: CreateReplicationSlotDto,
    @DryRun(PlanDto, examples.CREATE_PLAN) dryRun: boolean,
    @Res({ passthrough: true }) response: Response,
  ): Promise<ReplicationSlotViewDto | PlanDto> {
    const options = { dryRun, ...(body.deadlineMs === undefined ? {} : { deadlineMs: body.deadlineMs }) };
    const { statements, result } = await this.slots.create(server, body.database ?? null, slotSpecOf(body), options);
    if (result === null) return { statements };
    response.location(`${response.req.path}/${result.name}`);
    return result;
  }

  @Get(':slot')
  @ApiOperation({ summary: 'One replication slot' })
  @ApiOkResponse({ type: ReplicationSlotViewDto, example: examples.SLOT_VIEW })
  get(@NameParam('server') server: string, @NameParam('slot') slot: string): Promise<ReplicationSlotViewDto> {
    return this.slots.get(server, slot);
  }

  @Get(':slot/failover')
  @ApiOperation({
    summary: 'Whether a reader of the slot could go on at a standby',
    description: 'The registered standbys of the cluster are looked at now. 17 and newer.',
  })
  @ApiOkResponse({ type: FailoverReadinessDto, example: examples.FAILOVER })
  readiness(@NameParam('server') server: string, @NameParam('slot') slot: string): Promise<FailoverReadinessDto> {
    return this.failover.of(server, slot);
  }

  @Post(':slot/copy')
  @ApiOperation({
    summary: 'Copy a replication slot',
    description:
      'A second slot at the same place, for a reader of its own. The copy of a failover slot is none, nor that of a ' +
      'two-phase one two-phase.',
  })
  @ExampleBodies(CopyReplicationSlotDto, examples.COPY_SLOT)
  @ApiCreatedResponse({ type: ReplicationSlotViewDto, example: examples.NEW_SLOT_VIEW })
  async copy(
    @NameParam('server') server: string,
    @NameParam('slot') slot: string,
    @Body() body: CopyReplicationSlotDto,
    @DryRun(PlanDto, examples.COPY_PLAN) dryRun: boolean,
    @Res({ passthrough: true }) response: Response,
  ): Promise<ReplicationSlotViewDto | PlanDto> {
    const { statements, result } = await this.slots.copy(server, slot, body, { dryRun });
    if (result === null) return { statements };
    response.location(response.req.path.replace(/[^/]+\/copy$/, result.name));
    return result;
  }

  @Post(':slot/advance')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Advance a replication slot',
    description:
      'What lies before the LSN will never be sent. A dry run tells what that is: it reads the stream through a ' +
      'temporary copy of the slot. Refused where the slot has an owner that will come back, or may have one on a ' +
      'server that does not answer, unless forced.',
  })
  @ExampleBodies(AdvanceReplicationSlotDto, examples.ADVANCE_SLOT)
  @ApiOkResponse({ type: ReplicationSlotViewDto, example: examples.NEW_SLOT_VIEW })
  async advance(
    @NameParam('server') server: string,
    @NameParam('slot') slot: string,
    @Body() body: AdvanceReplicationSlotDto,
    @DryRun(AdvancePlanDto, examples.ADVANCE_PLAN) dryRun: boolean,
  ): Promise<ReplicationSlotViewDto | AdvancePlanDto> {
    const options = { dryRun, force: body.force ?? false };
    const { statements, result, skips } = await this.slots.advance(server, slot, parseLsn(body.lsn), options);
    return result ?? { statements, skips: skips! };
  }

  @Delete(':slot')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Drop a replication slot',
    description:
      'Refused while somebody streams from it, and, unless forced, while somebody will come back for it, or may on a ' +
      'server that does not answer.',
  })
  @ApiNoContentResponse()
  async drop(
    @NameParam('server') server: string,
    @NameParam('slot') slot: string,
    @Query() { force }: DropReplicationSlotQuery,
    @DryRun(PlanDto, examples.DROP_PLAN) dryRun: boolean,
  ): Promise<PlanDto | undefined> {
    const { statements } = await this.slots.drop(server, slot, { dryRun, force });
    return dryRun ? { statements } : undefined;
  }
}
