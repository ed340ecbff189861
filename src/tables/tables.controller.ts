import { Body, Controller, Get, Put, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { DryRun } from '../api/dry-run.js';
import { ExampleBodies } from '../api/example-body.js';
import { NameParam } from '../api/name-param.js';
import { ApiPage, type Page, pageOf } from '../api/page.js';
import { pageAfter } from '../changes/list-page.js';
import { Problem } from '../problems/problem.js';
import {
  IdentifiedTableDto,
  IdentityPlanDto,
  SetReplicaIdentityDto,
  TableDto,
  TableQuery,
  TablesQuery,
} from './tables.dto.js';
import * as examples from './tables.examples.js';
import { TablesService } from './tables.service.js';

@ApiTags('tables and sequences')
@Controller('v1/servers/:server/databases/:database/tables')
export class TablesController {
  constructor(private readonly tables: TablesService) {}

  @Get()
  @ApiOperation({
    summary: 'List tables',
    description:
      'What can be replicated, what is in the way, and which indexes would identify rows; sizes, and what is written. ' +
      'With `rateSeconds` the answer takes so long.',
  })
  @ApiPage(TableDto, examples.KEYLESS_TABLE, examples.TABLE)
  async list(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @Query() query: TablesQuery,
  ): Promise<Page<TableDto>> {
    const rows = await this.tables.tables(server, database, pageAfter(query), query.rateSeconds);
    return pageOf(rows, query.limit, ({ schema, name }) => [schema, name]);
  }

  @Get(':schema/:table')
  @ApiOperation({ summary: 'One table', description: 'With `rateSeconds` the answer takes so long.' })
  @ApiOkResponse({ type: TableDto, example: examples.TABLE })
  get(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('schema') schema: string,
    @NameParam('table') table: string,
    @Query() { rateSeconds }: TableQuery,
  ): Promise<TableDto> {
    return this.tables.table(server, database, { schema, name: table }, rateSeconds);
  }

  @Put(':schema/:table/replica-identity')
  @ApiOperation({
    summary: 'Set the replica identity of a table',
    description:
      'Of this table alone, not of its partitions. An index that cannot identify rows is refused (409) with the ' +
      'reason; `replicaIdentity.indexes` of the table tells beforehand. Nothing is run when it is so already. Where it ' +
      'makes UPDATEs and DELETEs that are published fail, `warnings` says so.',
  })
  @ExampleBodies(SetReplicaIdentityDto, examples.SET_IDENTITY)
  @ApiOkResponse({ type: IdentifiedTableDto, example: examples.IDENTIFIED_TABLE })
  async setReplicaIdentity(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('schema') schema: string,
    @NameParam('table') table: string,
    @Body() body: SetReplicaIdentityDto,
    @DryRun(IdentityPlanDto, examples.SET_IDENTITY_PLAN) dryRun: boolean,
  ): Promise<IdentifiedTableDto | IdentityPlanDto> {
    const name = { schema, name: table };
    const change = await this.tables.setReplicaIdentity(server, database, name, identityOf(body), { dryRun });
    const { statements, result, warnings } = change;
    return result === null ? { statements, warnings } : { ...result, warnings };
  }
}

function identityOf({ kind, index }: SetReplicaIdentityDto) {
  if (kind === 'index') return { kind, index: index ?? '' };
  if (index === undefined) return { kind };
  throw new Problem('INVALID_INPUT', 'an index goes only with kind index', {
    errors: [{ pointer: '#/index', detail: `does not go with kind ${kind}` }],
  });
}
