import { Controller, Get, Param, Query, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Response } from 'express';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { UuidPipe } from '../../api/name-param.js';
import { ApiPage, type Page } from '../../api/page.js';
import { presentDifference } from '../present-verification.js';
import { DifferenceDto } from '../verification.dto.js';
import * as examples from '../verifications.examples.js';
import { DifferencesQuery, ExportQuery } from './differences.dto.js';
import { DifferencesService } from './differences.service.js';
import { asCsv, asJson } from './exports.js';

const CAPPED = 'At most 1000 for each table; the counts of the tables are exact.';

@ApiTags('verifications')
@Controller('v1/verifications/:id')
export class DifferencesController {
  constructor(private readonly service: DifferencesService) {}

  @Get('differences')
  @ApiOperation({ summary: 'List the differences found', description: `${CAPPED} Also while it runs.` })
  @ApiPage(DifferenceDto, ...examples.DIFFERENCES)
  async list(@Param('id', UuidPipe) id: string, @Query() query: DifferencesQuery): Promise<Page<DifferenceDto>> {
    const { limit, cursor, values = 'text', ...filter } = query;
    const page = await this.service.page(id, { limit, cursor }, filter, values);
    return { ...page, items: page.items.map(presentDifference) };
  }

  @Get('differences.csv')
  @ApiOperation({
    summary: 'All differences as CSV',
    description: `A line for each column that differs; an empty field without quotes is NULL, the empty text is \`""\`. ${CAPPED}`,
  })
  @ApiOkResponse({ content: { 'text/csv': { schema: { type: 'string' }, example: examples.DIFFERENCES_CSV } } })
  async csv(@Param('id', UuidPipe) id: string, @Query() query: ExportQuery, @Res() response: Response): Promise<void> {
    const { values = 'text', ...filter } = query;
    await send(response, id, 'csv', asCsv(await this.service.all(id, filter, values)));
  }

  @Get('differences.json')
  @ApiOperation({ summary: 'All differences as one JSON array', description: CAPPED })
  @ApiOkResponse({ type: [DifferenceDto], example: examples.DIFFERENCES })
  async json(@Param('id', UuidPipe) id: string, @Query() query: ExportQuery, @Res() response: Response): Promise<void> {
    const { values = 'text', ...filter } = query;
    await send(response, id, 'json', asJson(await this.service.all(id, filter, values)));
  }
}

/** As fast as the client takes it; one that goes away ends it. From the first byte on a failure can only cut it off. */
async function send(response: Response, id: string, form: 'csv' | 'json', text: AsyncIterable<string>): Promise<void> {
  response.status(200).set({
    'Content-Type': form === 'csv' ? 'text/csv; charset=utf-8' : 'application/json; charset=utf-8',
    'Content-Disposition': `attachment; filename="differences-${id}.${form}"`,
    'Cache-Control': 'no-store',
  });
  await pipeline(Readable.from(text), response).catch(() => response.destroy());
}
