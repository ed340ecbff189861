import { Controller, Get, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import { NameParam } from '../api/name-param.js';
import { PageQuery } from '../api/page.js';
import { DriftService } from './drift/drift.service.js';
import { LinkAgreement } from './link-agreement.service.js';
import { CheckedLinkDto, LinkPageDto } from './links.dto.js';
import { DriftDto } from './drift/drift.dto.js';
import { CHECKED_LINK_EXAMPLE, DRIFT_EXAMPLE, LINKS_EXAMPLE } from './links.examples.js';
import { LinksService } from './links.service.js';

@ApiTags('links')
@Controller('v1/links')
export class LinksController {
  constructor(
    private readonly links: LinksService,
    private readonly agreement: LinkAgreement,
    private readonly schemas: DriftService,
  ) {}

  @Get()
  @ApiOperation({
    summary: 'List links',
    description:
      'Each subscription of a registered server, from both ends. `unknown` lists servers that did not answer, ' +
      'whichever page their links would be on.',
  })
  @ApiOkResponse({ type: LinkPageDto, example: LINKS_EXAMPLE })
  list(@Query() query: PageQuery): Promise<LinkPageDto> {
    return this.links.page(query);
  }

  @Get(':server/:database/:subscription')
  @ApiOperation({
    summary: 'One link, and whether its ends agree',
    description:
      'Both ends are looked at now. Each check of `agreement` says what was seen and what to do; `unknown` means that ' +
      'it could not be looked at, and is never taken for agreement.',
  })
  @ApiOkResponse({ type: CheckedLinkDto, example: CHECKED_LINK_EXAMPLE })
  get(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('subscription') subscription: string,
  ): Promise<CheckedLinkDto> {
    return this.agreement.of({ server, database, subscription });
  }

  @Get(':server/:database/:subscription/drift')
  @ApiOperation({
    summary: 'How the schemas of both ends differ, and what mends it',
    description:
      'Compares the published tables now. `statements` are to be run by you, in their order: additions on the ' +
      'subscriber first, removals on the publisher first. Lockstep never runs them.',
  })
  @ApiOkResponse({ type: DriftDto, example: DRIFT_EXAMPLE })
  drift(
    @NameParam('server') server: string,
    @NameParam('database') database: string,
    @NameParam('subscription') subscription: string,
  ): Promise<DriftDto> {
    return this.schemas.drift({ server, database, subscription });
  }
}
