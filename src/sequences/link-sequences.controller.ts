import { Body, Controller, Get, HttpCode, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { DryRun } from '../api/dry-run.js';
import { ExampleBodies } from '../api/example-body.js';
import { NameParam } from '../api/name-param.js';
import { ApiPage, type Page, pageOf } from '../api/page.js';
import { pageAfter, pageOfList } from '../changes/list-page.js';
import {
  ComparedSequenceDto,
  LinkSequencesQuery,
  SequenceSyncDto,
  SequenceSyncPlanDto,
  SyncSequencesDto,
} from './link-sequences.dto.js';
import * as examples from './sequences.examples.js';
import { LinkSequencesService } from './link-sequences.service.js';

@ApiTags('links')
@Controller('v1/links/:server/:database/:subscription/sequences')
export class LinkSequencesController {
  constructor(private readonly sequences: LinkSequencesService) {}

  @Get()
  @ApiOperation({
    summary: 'Sequences of both ends of a link',
    description:
      'All of both databases, side by side, whatever the publications name: logical replication carries no sequence.',
  })
  @ApiPage(ComparedSequenceDto, ...examples.COMPARED)
  async list(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('subscription') subscription: string,
    @Query() query: LinkSequencesQuery,
  ): Promise<Page<ComparedSequenceDto>> {
    const link = { server, database, subscription };
    if (query.verdict !== undefined) {
      const all = await this.sequences.compare(link);
      return pageOfList(
        all.filter(({ verdict }) => verdict === query.verdict),
        query,
        keyOf,
        2,
      );
    }
    return pageOf(await this.sequences.compare(link, pageAfter(query)), query.limit, keyOf);
  }

  @Post('sync')
  @HttpCode(200)
  @ApiOperation({
    summary: "Set the subscriber's sequences to where the publisher's stand",
    description:
      'Once, now: one that is in use on the publisher moves on. None is set back unless `force` is given, also where ' +
      'the subscriber itself uses it meanwhile. The answer says what moved, and why the rest did not.',
  })
  @ExampleBodies(SyncSequencesDto, examples.SYNC_SEQUENCES, { required: false })
  @ApiOkResponse({ type: SequenceSyncDto, example: examples.SYNC })
  async sync(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('subscription') subscription: string,
    @Body() request: SyncSequencesDto,
    @DryRun(SequenceSyncPlanDto, examples.SYNC_PLAN) dryRun: boolean,
  ): Promise<SequenceSyncDto | SequenceSyncPlanDto> {
    const link = { server, database, subscription };
    const { statements, result, planned } = await this.sequences.sync(link, request, { dryRun });
    return result ?? { statements, ...planned };
  }
}

function keyOf({ schema, name }: ComparedSequenceDto): string[] {
  return [schema, name];
}
