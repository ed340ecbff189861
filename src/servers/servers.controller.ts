import { Body, Controller, Delete, Get, HttpCode, Patch, Post, Query, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { DryRun } from '../api/dry-run.js';
import { ExampleBody } from '../api/example-body.js';
import { NameParam } from '../api/name-param.js';
import { ApiPage, type Page, PageQuery } from '../api/page.js';
import { onlyHere, PlanDto } from '../changes/plan.dto.js';
import { DatabaseDto, ServerDto } from './server.dto.js';
import { ChangeServerDto, RegisterServerDto } from './servers.dto.js';
import * as examples from './servers.examples.js';
import { ServersService } from './servers.service.js';

const FORGETS = onlyHere('Forgets the server and its password; nothing is changed on the server.');

@ApiTags('servers')
@Controller('v1/servers')
export class ServersController {
  constructor(private readonly servers: ServersService) {}

  @Post()
  @ApiOperation({
    summary: 'Register a server',
    description:
      'The server is looked at first; nothing is stored when it cannot be reached, refuses the login, fails TLS or is older than 13. A dry run answers 200 with what would be stored. Nothing is changed on the server.',
  })
  @ExampleBody(RegisterServerDto, examples.REGISTER_SERVER)
  @ApiCreatedResponse({ type: ServerDto, example: examples.SERVER })
  async register(
    @Body() body: RegisterServerDto,
    @DryRun(ServerDto, examples.SERVER) dryRun: boolean,
    @Res({ passthrough: true }) response: Response,
  ): Promise<ServerDto> {
    const { name, tls = { mode: 'prefer' }, ...rest } = body;
    const { advertisedHost = null, advertisedPort = null, advertisedTls = null, walBudgetBytes = null } = body;
    const address = { ...rest, tls, advertisedHost, advertisedPort, advertisedTls, walBudgetBytes };
    const server = await this.servers.register(name, address, dryRun);
    if (!dryRun) response.location(`/v1/servers/${encodeURIComponent(name)}`);
    return server;
  }

  @Get()
  @ApiOperation({ summary: 'List servers, as last seen' })
  @ApiPage(ServerDto, examples.SERVER, examples.UNREACHABLE_SERVER)
  list(@Query() query: PageQuery): Promise<Page<ServerDto>> {
    return this.servers.list(query.limit, query.cursor);
  }

  @Get(':server')
  @ApiOperation({ summary: 'Read a server, as last seen' })
  @ApiOkResponse({ type: ServerDto, example: examples.SERVER })
  read(@NameParam('server') server: string): Promise<ServerDto> {
    return this.servers.view(server);
  }

  @Patch(':server')
  @ApiOperation({
    summary: 'Change how a server is reached',
    description:
      'The server is looked at as when it was registered, and must be of the same cluster as before. Needs the `password` ' +
      'where `host`, `port`, `advertisedHost` or `advertisedPort` change or TLS is weakened or trusts another authority: ' +
      'the stored one is sent nowhere else.',
  })
  @ExampleBody(ChangeServerDto, examples.CHANGE_SERVER)
  @ApiOkResponse({ type: ServerDto, example: examples.CHANGED_SERVER })
  change(
    @NameParam('server') server: string,
    @Body() body: ChangeServerDto,
    @DryRun(ServerDto, examples.CHANGED_SERVER) dryRun: boolean,
  ): Promise<ServerDto> {
    return this.servers.change(server, withoutUndefined(body), dryRun);
  }

  @Delete(':server')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Forget a server',
    description: 'Refused while something here uses it. Nothing is changed on the server itself.',
  })
  @ApiNoContentResponse()
  async remove(
    @NameParam('server') server: string,
    @DryRun(PlanDto, FORGETS) dryRun: boolean,
  ): Promise<PlanDto | undefined> {
    await this.servers.remove(server, dryRun);
    return dryRun ? FORGETS : undefined;
  }

  @Post(':server/check')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Look at a server now',
    description:
      'A server that cannot be reached answers 200 with `reachable: false` and the `problem`. A dry run looks too, and stores nothing of what it sees.',
  })
  @ApiOkResponse({ type: ServerDto, example: examples.UNREACHABLE_SERVER })
  check(@NameParam('server') server: string, @DryRun(ServerDto, examples.SERVER) dryRun: boolean): Promise<ServerDto> {
    return this.servers.check(server, dryRun);
  }

  @Get(':server/databases')
  @ApiOperation({ summary: 'List the databases of a server' })
  @ApiPage(DatabaseDto, ...examples.DATABASES)
  async databases(@NameParam('server') server: string): Promise<Page<DatabaseDto>> {
    return { items: await this.servers.databases(server), nextCursor: null };
  }
}

function withoutUndefined<T extends object>(body: T): Partial<T> {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined)) as Partial<T>;
}
