import { Body, Controller, Get, Put, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { DryRun } from '../api/dry-run.js';
import { ExampleBody } from '../api/example-body.js';
import { NameParam } from '../api/name-param.js';
import { ApiPage, cursorKey, type Page, pageOf, PageQuery } from '../api/page.js';
import { PlanDto } from '../changes/plan.dto.js';
import { Problem } from '../problems/problem.js';
import { SequenceDto, SetReplicaIdentityDto, TableDto } from './tables.dto.js';
import { TablesService } from './tables.service.js';

@ApiTags('tables and sequences')
@Controller('v1/servers/:server/databases/:database')
export class TablesController {
  constructor(private readonly tables: TablesService) {}

  @Get('tables')
  @ApiOperation({ summary: 'List tables', description: 'What can be replicated, and what is in the way.' })
  @ApiPage(TableDto)
  async listTables(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @Query() query: PageQuery,
  ): Promise<Page<TableDto>> {
    const rows = await this.tables.tables(server, database, window(query));
    return pageOf(rows, query.limit, ({ schema, name }) => [schema, name]);
  }

  @Get('sequences')
  @ApiOperation({ summary: 'List sequences' })
  @ApiPage(SequenceDto)
  async listSequences(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @Query() query: PageQuery,
  ): Promise<Page<SequenceDto>> {
    const rows = await this.tables.sequences(server, database, window(query));
    return pageOf(rows, query.limit, ({ schema, name }) => [schema, name]);
  }

  @Put('tables/:schema/:table/replica-identity')
  @ApiOperation({
    summary: 'Set the replica identity of a table',
    description: 'Of this table alone, not of its partitions.',
  })
  @ExampleBody(SetReplicaIdentityDto, { kind: 'full' })
  @ApiOkResponse({ type: TableDto })
  async setReplicaIdentity(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('schema') schema: string,
    @NameParam('table') table: string,
    @Body() body: SetReplicaIdentityDto,
    @DryRun(PlanDto) dryRun: boolean,
  ): Promise<TableDto | PlanDto> {
    const name = { schema, name: table };
    const { statements, result } = await this.tables.setReplicaIdentity(server, database, name, identityOf(body), {
      dryRun,
    });
    return result ?? { statements };
  }
}

function identityOf({ kind, index }: SetReplicaIdentityDto) {
  if (kind === 'index') return { kind, index: index ?? '' };
  if (index === undefined) return { kind };
  throw new Problem('INVALID_INPUT', 'an index goes only with kind index', {
    errors: [{ pointer: '#/index', detail: `does not go with kind ${kind}` }],
  });
}

/** One row more than asked for tells whether there is a next page. */
function window({ limit, cursor }: PageQuery) {
  const [schema, name] = cursorKey(cursor, 'text', 'text') ?? [];
  return { limit: limit + 1, ...(schema === undefined ? {} : { after: { schema, name: name! } }) };
}
