import { Body, Controller, Get, Header, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOkResponse, ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { DryRun } from '../../api/dry-run.js';
import { ExampleBodies } from '../../api/example-body.js';
import { UuidPipe } from '../../api/name-param.js';
import { ApiPage, type Page, PageQuery } from '../../api/page.js';
import { Scope } from '../../security/scope.decorator.js';
import { presentPlan, presentRepair, presentRow, presentScript } from './present-repair.js';
import { RepairDto, RepairedDifferenceDto, RepairPlanDto, RepairRequestDto, RepairSqlQuery } from './repair.dto.js';
import * as examples from './repair.examples.js';
import { RepairService } from './repair.service.js';

@ApiTags('verifications')
@Controller('v1/verifications/:id')
export class RepairController {
  constructor(private readonly repairs: RepairService) {}

  @Get('repair.sql')
  @Scope('operate')
  @Header('Content-Type', 'application/sql; charset=utf-8')
  @ApiOperation({
    summary: 'SQL that repairs the differences listed',
    description:
      'For reading, and for running by hand where the repair is not to be. The rows are looked at again for it, through ' +
      'slots that are removed before the answer; rows that agree by now have no statement. Every statement is guarded: ' +
      'an UPDATE or DELETE by the version and the values of the row, an INSERT by the absence of its key.',
  })
  @ApiProduces('application/sql')
  @ApiOkResponse({ schema: { type: 'string' } })
  async sql(@Param('id', UuidPipe) id: string, @Query() { triggers }: RepairSqlQuery): Promise<string> {
    return presentScript(await this.repairs.plan(id, { differences: 'all', triggers }));
  }

  @Post('repair')
  @HttpCode(202)
  @ApiOperation({
    summary: 'Repair differences',
    description:
      "Makes rows of the subscriber what the publisher's are, exactly, while both sides are written to. Each row is judged " +
      'again, and written, while its table is held in SHARE ROW EXCLUSIVE mode: for some tenths of a second and at most 100 ' +
      'rows at a time others read it and nobody writes it, and applying waits. A row that agrees by then is left alone. ' +
      'Afterwards the rows are compared once more. An operation, with progress; it survives a crash and can be cancelled ' +
      'between transactions. What was not listed is not repaired: see `remaining`. Its `result` has the counts; ' +
      '`/v1/verifications/{id}/repairs/{repair}/differences` tells what came of each difference.',
  })
  @ExampleBodies(RepairRequestDto, { all: examples.ALL, some: examples.SOME })
  @ApiAcceptedResponse({ type: RepairDto, example: examples.QUEUED_REPAIR })
  async repair(
    @Param('id', UuidPipe) id: string,
    @Body() { differences, triggers = 'quiet' }: RepairRequestDto,
    @DryRun(RepairPlanDto, examples.REPAIR_PLAN) dryRun: boolean,
    @Res({ passthrough: true }) response: Response,
  ): Promise<RepairDto | RepairPlanDto> {
    if (dryRun) return presentPlan(await this.repairs.plan(id, { differences, triggers }));
    const repair = await this.repairs.start(id, { differences, triggers });
    response.location(`/v1/operations/${repair.id}`);
    return presentRepair(repair);
  }

  @Get('repairs/:repair')
  @ApiOperation({ summary: 'State and outcome of one repair' })
  @ApiOkResponse({ type: RepairDto, example: examples.REPAIR })
  async read(@Param('id', UuidPipe) id: string, @Param('repair', UuidPipe) repair: string): Promise<RepairDto> {
    return presentRepair(await this.repairs.get(id, repair));
  }

  @Get('repairs/:repair/differences')
  @ApiOperation({ summary: 'What came of each difference' })
  @ApiPage(RepairedDifferenceDto, ...examples.REPAIRED)
  async differences(
    @Param('id', UuidPipe) id: string,
    @Param('repair', UuidPipe) repair: string,
    @Query() query: PageQuery,
  ): Promise<Page<RepairedDifferenceDto>> {
    const page = await this.repairs.rows(id, repair, query.limit, query.cursor);
    return { ...page, items: page.items.map(presentRow) };
  }
}
