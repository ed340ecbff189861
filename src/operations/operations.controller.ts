import { Controller, Get, Headers, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import { ApiAcceptedResponse, ApiHeader, ApiOkResponse, ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { DryRun } from '../api/dry-run.js';
import { UuidPipe } from '../api/name-param.js';
import { ApiPage, cursorKey, type Page, pageOf, PageQuery } from '../api/page.js';
import { onlyHere, PlanDto } from '../changes/plan.dto.js';
import { CancellationService } from './cancellation.service.js';
import { OperationDto } from './operation.dto.js';
import { lastEventId, sendEvents } from './event-stream.js';
import * as examples from './operations.examples.js';
import { OperationsService } from './operations.service.js';

@ApiTags('operations')
@Controller('v1/operations')
export class OperationsController {
  constructor(
    private readonly operations: OperationsService,
    private readonly cancellation: CancellationService,
  ) {}

  @Get()
  @ApiOperation({ summary: 'List operations, newest first' })
  @ApiPage(OperationDto, ...examples.OPERATIONS)
  async list(@Query() query: PageQuery): Promise<Page<OperationDto>> {
    const key = cursorKey(query.cursor, 'time', 'uuid');
    const before = key && { createdAt: key[0]!, id: key[1]! };
    const page = pageOf(await this.operations.page(query.limit + 1, before), query.limit, (row) => [
      row.createdAtText,
      row.id,
    ]);
    return { ...page, items: page.items.map((row) => OperationDto.from(row)) };
  }

  @Get(':id')
  @ApiOperation({ summary: 'State, progress and result of one operation' })
  @ApiOkResponse({ type: OperationDto, example: examples.RUNNING_OPERATION })
  async get(@Param('id', UuidPipe) id: string): Promise<OperationDto> {
    return OperationDto.from(await this.operations.get(id));
  }

  @Get(':id/events')
  @ApiOperation({
    summary: 'Follow an operation (server-sent events)',
    description: '`id:` is a sequence number; a client that reconnects with `Last-Event-ID` misses nothing.',
  })
  @ApiProduces('text/event-stream')
  @ApiOkResponse({ schema: { type: 'string' } })
  @ApiHeader({ name: 'Last-Event-ID', required: false, description: 'Sequence number of the last event seen.' })
  async events(
    @Param('id', UuidPipe) id: string,
    @Res() response: Response,
    @Headers('Last-Event-ID') last?: string,
  ): Promise<void> {
    const after = lastEventId(last);
    await this.operations.get(id);
    await sendEvents(response, {
      after,
      ended: () => this.operations.hasEnded(id),
      read: (seq, limit) => this.operations.eventsAfter(id, seq, limit),
    });
  }

  @Post(':id/cancel')
  @HttpCode(202)
  @ApiOperation({
    summary: 'Cancel an operation',
    description: 'Asks; the operation ends as `cancelled` once it has cleaned up. An upgrade is ended by its `abort`.',
  })
  @ApiAcceptedResponse({ type: OperationDto, example: examples.CANCELLED_OPERATION })
  async cancel(
    @Param('id', UuidPipe) id: string,
    @DryRun(PlanDto, examples.CANCEL_PLAN) dryRun: boolean,
  ): Promise<OperationDto | PlanDto> {
    if (dryRun) {
      const { kind } = await this.cancellation.cancellable(id);
      return onlyHere(`Asks the ${kind} to end and to clean up what it made on its servers.`);
    }
    return OperationDto.from(await this.cancellation.cancel(id));
  }
}
