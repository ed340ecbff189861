import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { NameParam } from '../api/name-param.js';
import { ApiPage, type Page, pageOf, PageQuery } from '../api/page.js';
import { pageAfter } from '../changes/list-page.js';
import { SequenceDto } from './sequences.dto.js';
import { SEQUENCE } from './sequences.examples.js';
import { SequencesService } from './sequences.service.js';

@ApiTags('tables and sequences')
@Controller('v1/servers/:server/databases/:database/sequences')
export class SequencesController {
  constructor(private readonly sequences: SequencesService) {}

  @Get()
  @ApiOperation({ summary: 'List sequences', description: 'Where they stand, and how much they have left.' })
  @ApiPage(SequenceDto, SEQUENCE)
  async list(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @Query() query: PageQuery,
  ): Promise<Page<SequenceDto>> {
    const rows = await this.sequences.list(server, database, pageAfter(query));
    return pageOf(rows, query.limit, ({ schema, name }) => [schema, name]);
  }

  @Get(':schema/:sequence')
  @ApiOperation({ summary: 'One sequence' })
  @ApiOkResponse({ type: SequenceDto, example: SEQUENCE })
  get(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('schema') schema: string,
    @NameParam('sequence') name: string,
  ): Promise<SequenceDto> {
    return this.sequences.get(server, database, { schema, name });
  }
}
