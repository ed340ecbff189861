import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiNoContentResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { DryRun } from '../api/dry-run.js';
import { ExampleBody } from '../api/example-body.js';
import { UuidPipe } from '../api/name-param.js';
import { ApiPage, type Page, PageQuery } from '../api/page.js';
import { SecretInResponse } from '../api/idempotency/secret-in-response.decorator.js';
import { onlyHere, PlanDto } from '../changes/plan.dto.js';
import { Scope } from './scope.decorator.js';
import { CreatedTokenDto, CreateTokenDto, TokenDto } from './tokens.dto.js';
import * as examples from './tokens.examples.js';
import { type TokenView, TokensService } from './tokens.service.js';

const REVOKES = onlyHere('Revokes the token: requests with it are refused from then on.');

@ApiTags('tokens')
@Scope('admin')
@Controller('v1/tokens')
export class TokensController {
  constructor(private readonly tokens: TokensService) {}

  @Post()
  @SecretInResponse('token')
  @ApiOperation({ summary: 'Create a token', description: 'The answer holds the token; it cannot be read again.' })
  @ExampleBody(CreateTokenDto, examples.CREATE_TOKEN)
  @ApiCreatedResponse({ type: CreatedTokenDto, example: examples.CREATED_TOKEN })
  async create(
    @Body() { name, scope, expiresAt }: CreateTokenDto,
    @DryRun(PlanDto, examples.CREATE_PLAN) dryRun: boolean,
    @Res({ passthrough: true }) response: Response,
  ): Promise<CreatedTokenDto | PlanDto> {
    const wanted = { name, scope, expiresAt: expiresAt === undefined ? null : new Date(expiresAt) };
    if (dryRun) {
      await this.tokens.checkCreate(wanted);
      return onlyHere(`Creates a token of scope ${scope} and answers it, once.`);
    }
    const { token, ...created } = await this.tokens.create(wanted);
    response.location(`/v1/tokens/${created.id}`);
    return { ...present(created), token };
  }

  @Get()
  @ApiOperation({ summary: 'List tokens, revoked ones included' })
  @ApiPage(TokenDto, ...examples.TOKENS)
  async list(@Query() query: PageQuery): Promise<Page<TokenDto>> {
    const page = await this.tokens.list(query.limit, query.cursor);
    return { ...page, items: page.items.map(present) };
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({
    summary: 'Revoke a token',
    description: 'Effective at once. The last admin token cannot be revoked.',
  })
  @ApiNoContentResponse()
  async revoke(
    @Param('id', UuidPipe) id: string,
    @DryRun(PlanDto, REVOKES) dryRun: boolean,
  ): Promise<PlanDto | undefined> {
    await this.tokens.revoke(id, dryRun);
    return dryRun ? REVOKES : undefined;
  }
}

function present(token: TokenView): TokenDto {
  return {
    id: token.id,
    name: token.name,
    scope: token.scope,
    createdAt: token.createdAt.toISOString(),
    expiresAt: token.expiresAt?.toISOString() ?? null,
    revokedAt: token.revokedAt?.toISOString() ?? null,
    lastUsedAt: token.lastUsedAt?.toISOString() ?? null,
  };
}
