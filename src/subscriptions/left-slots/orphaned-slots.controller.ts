import { Controller, Delete, Get, HttpCode, Param, Query } from '@nestjs/common';
import { ApiNoContentResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { DryRun } from '../../api/dry-run.js';
import { UuidPipe } from '../../api/name-param.js';
import { ApiPage, type Page, PageQuery } from '../../api/page.js';
import { pageOfList } from '../../changes/list-page.js';
import { onlyHere, PlanDto } from '../../changes/plan.dto.js';
import { LeftSlots } from './left-slots.service.js';
import { FORGET_PLAN, ORPHANED_SLOT } from './orphaned-slots.examples.js';
import { OrphanedSlotDto } from './orphaned-slots.dto.js';

@ApiTags('replication slots')
@Controller('v1/orphaned-slots')
export class OrphanedSlotsController {
  constructor(private readonly left: LeftSlots) {}

  @Get()
  @ApiOperation({
    summary: 'List slots that dropped subscriptions left behind',
    description:
      'Recorded when a subscription is dropped with `?slot=keep`, for its publisher may be away for long, and while ' +
      'a slot is made for a new subscription, which may come to nothing. What a ' +
      'publisher that is back does not have any more is forgotten and not listed.',
  })
  @ApiPage(OrphanedSlotDto, ORPHANED_SLOT)
  async list(@Query() query: PageQuery): Promise<Page<OrphanedSlotDto>> {
    const page = pageOfList(await this.left.recorded(), query, ({ leftAt, id }) => [leftAt.toISOString(), id], 2);
    return { ...page, items: await this.left.look(page.items) };
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Forget a slot that was left behind',
    description:
      'For a publisher that will not come back. Nothing is dropped: that is `cleanUp`, which also forgets it.',
  })
  @ApiNoContentResponse()
  async forget(
    @Param('id', UuidPipe) id: string,
    @DryRun(PlanDto, FORGET_PLAN) dryRun: boolean,
  ): Promise<PlanDto | undefined> {
    const { slot } = await this.left.require(id);
    if (dryRun) return onlyHere(`Forgets the slot ${slot}; wherever it is, it stays.`);
    await this.left.forget([id]);
    return undefined;
  }
}
