import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { NameParam } from '../api/name-param.js';
import { ApiPage, type Page, PageQuery } from '../api/page.js';
import { pageOfList } from '../changes/list-page.js';
import { LinksService, type UnknownLinks } from './links.service.js';
import { LinkDto } from './subscription.dto.js';

@ApiTags('links')
@Controller('v1/links')
export class LinksController {
  constructor(private readonly links: LinksService) {}

  @Get()
  @ApiOperation({
    summary: 'List links',
    description:
      'Each subscription of a registered server, from both ends. `unknown` lists servers that did not answer.',
  })
  @ApiPage(LinkDto)
  async list(@Query() query: PageQuery): Promise<Page<LinkDto> & { unknown: UnknownLinks[] }> {
    const { links, unknown } = await this.links.list();
    const page = pageOfList(
      links,
      query,
      ({ subscriber }) => [subscriber.server, subscriber.database, subscriber.subscription],
      3,
    );
    return { ...page, unknown };
  }

  @Get(':server/:database/:subscription')
  @ApiOperation({ summary: 'One link' })
  @ApiOkResponse({ type: LinkDto })
  get(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('subscription') subscription: string,
  ): Promise<LinkDto> {
    return this.links.get(server, database, subscription);
  }
}
