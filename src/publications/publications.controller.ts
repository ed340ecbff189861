import { Body, Controller, Delete, Get, HttpCode, Patch, Post, Query, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { DryRun } from '../api/dry-run.js';
import { ExampleBodies } from '../api/example-body.js';
import { NameParam } from '../api/name-param.js';
import { ApiPage, cursorKey, type Page, pageOf, PageQuery } from '../api/page.js';
import { PlanDto } from '../changes/plan.dto.js';
import {
  CreatePublicationDto,
  EffectiveTableDto,
  PatchPublicationDto,
  PublicationDetailDto,
  PublicationDto,
  PublicationPlanDto,
} from './publications.dto.js';
import * as examples from './publications.examples.js';
import { targetOf } from './publication-target.js';
import { PublicationsService } from './publications.service.js';

@ApiTags('publications')
@Controller('v1/servers/:server/databases/:database/publications')
export class PublicationsController {
  constructor(private readonly publications: PublicationsService) {}

  @Get()
  @ApiOperation({ summary: 'List publications' })
  @ApiPage(PublicationDto, examples.PUBLICATION)
  async list(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @Query() query: PageQuery,
  ): Promise<Page<PublicationDto>> {
    const [after] = cursorKey(query.cursor, 'text') ?? [];
    const rows = await this.publications.list(server, database, { after, limit: query.limit + 1 });
    return pageOf(rows, query.limit, ({ name }) => [name]);
  }

  @Post()
  @ApiOperation({
    summary: 'Create a publication',
    description:
      'Refused with 409 when a row filter or column list would make every UPDATE and DELETE of its table fail on the publisher. Tables without replica identity are warned of, with the SQL that mends them. A dry run is the same, in a transaction that is rolled back. Which version takes what: docs/options.md.',
  })
  @ExampleBodies(CreatePublicationDto, examples.CREATE_PUBLICATION)
  @ApiCreatedResponse({ type: PublicationDetailDto, example: examples.PUBLICATION_DETAIL })
  async create(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @Body() body: CreatePublicationDto,
    @DryRun(PublicationPlanDto, examples.CREATE_PLAN) dryRun: boolean,
    @Res({ passthrough: true }) response: Response,
  ): Promise<PublicationDetailDto | PublicationPlanDto> {
    const spec = { ...body, target: targetOf(body.target) };
    const { statements, warnings, result } = await this.publications.create(server, database, spec, { dryRun });
    if (result === null) return { statements, warnings };
    response.location(`${response.req.path}/${encodeURIComponent(result.name)}`);
    return result;
  }

  @Get(':publication')
  @ApiOperation({ summary: 'One publication' })
  @ApiOkResponse({ type: PublicationDetailDto, example: examples.PUBLICATION_DETAIL })
  get(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('publication') publication: string,
  ): Promise<PublicationDetailDto> {
    return this.publications.get(server, database, publication);
  }

  @Get(':publication/tables')
  @ApiOperation({
    summary: 'The tables a publication really sends',
    description:
      'As the server resolves it now: columns, filter, operations, and whether UPDATE or DELETE fails on the publisher, why, and the SQL that mends it.',
  })
  @ApiPage(EffectiveTableDto, ...examples.EFFECTIVE_TABLES)
  async tables(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('publication') publication: string,
    @Query() query: PageQuery,
  ): Promise<Page<EffectiveTableDto>> {
    const [after, name] = cursorKey(query.cursor, 'text', 'text') ?? [];
    const page = { limit: query.limit + 1, ...(after === undefined ? {} : { after: { schema: after, name: name! } }) };
    const rows = await this.publications.tables(server, database, publication, page);
    return pageOf(rows, query.limit, ({ schema, name }) => [schema, name]);
  }

  @Patch(':publication')
  @ApiOperation({
    summary: 'Change a publication',
    description:
      'Everything not named stays, row filters and column lists included. Tables and schemas are added, set and taken out one by one, or `target` replaces the list; either way in one transaction that leaves the others as they are. Never drops and creates anew: what cannot be changed is refused with 409 and the alternative.',
  })
  @ExampleBodies(PatchPublicationDto, examples.PATCH_PUBLICATION)
  @ApiOkResponse({ type: PublicationDetailDto, example: examples.PUBLICATION_DETAIL })
  async patch(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('publication') publication: string,
    @Body() body: PatchPublicationDto,
    @DryRun(PublicationPlanDto, examples.PATCH_PLAN) dryRun: boolean,
  ): Promise<PublicationDetailDto | PublicationPlanDto> {
    const { target, warnings: _answered, ...rest } = body;
    const patch = { ...rest, ...(target === undefined ? {} : { target: targetOf(target) }) };
    const change = await this.publications.patch(server, database, publication, patch, { dryRun });
    return change.result ?? { statements: change.statements, warnings: change.warnings };
  }

  @Delete(':publication')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Drop a publication',
    description:
      'Subscriptions to it stop with an error. It is emptied first, and 200 ms later dropped: dropped at once it could fail an UPDATE or DELETE that looks it up at that moment (XX000, `cache lookup failed for publication`). One for all tables cannot be emptied; there that remains possible.',
  })
  @ApiNoContentResponse()
  async drop(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('publication') publication: string,
    @DryRun(PlanDto, examples.DROP_PLAN) dryRun: boolean,
  ): Promise<PlanDto | undefined> {
    const { statements } = await this.publications.drop(server, database, publication, { dryRun });
    return dryRun ? { statements } : undefined;
  }
}
