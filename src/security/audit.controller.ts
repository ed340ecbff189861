import { Controller, Get, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { ApiPage, type Page } from '../api/page.js';
import { AuditEventDto, AuditQuery } from './audit.dto.js';
import { AUDIT_EVENTS } from './audit.examples.js';
import { AuditService } from './audit.service.js';
import { Scope } from './scope.decorator.js';

@ApiTags('audit')
@Scope('admin')
@Controller('v1/audit-events')
export class AuditController {
  constructor(private readonly audit: AuditService) {}

  @Get()
  @ApiOperation({
    summary: 'List audit events, newest first',
    description: 'One for every mutation, refused ones included.',
  })
  @ApiPage(AuditEventDto, ...AUDIT_EVENTS)
  async list(@Query() query: AuditQuery): Promise<Page<AuditEventDto>> {
    const { limit, cursor, since, until, ...filter } = query;
    const times = { since: since ? new Date(since) : undefined, until: until ? new Date(until) : undefined };
    const page = await this.audit.list({ ...filter, ...times }, limit, cursor);
    return {
      ...page,
      items: page.items.map((event) => ({
        ...event,
        at: event.at.toISOString(),
        finishedAt: event.finishedAt?.toISOString() ?? null,
      })),
    };
  }
}
