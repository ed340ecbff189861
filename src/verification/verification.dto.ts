import { ApiProperty } from '@nestjs/swagger';
import { DRIFT_KINDS, type DriftKind, type Impact, IMPACTS } from '../links/drift/finding.js';
import { ComparedSequenceDto } from '../sequences/link-sequences.dto.js';
import type { ComparedSchema, ComparedSequences, SchemaFinding } from './beside-rows.service.js';
import { DIFFERENCE_KINDS } from './differences/differences.dto.js';
import { VERDICTS, type Verdict } from './at-rest/link-verification.js';
import { VERIFICATION_KINDS, type VerificationKind } from './verification.entity.js';
import { SubscriptionRefDto, TableToVerifyDto } from './verifications.dto.js';

const STATES = ['queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled'] as const;

export class DatabaseRefDto {
  @ApiProperty({ example: 'orders-14' })
  server: string;

  @ApiProperty({ example: 'orders' })
  database: string;
}

class VerificationProgressDto {
  @ApiProperty({ example: 120000 })
  rowsDone: number;

  @ApiProperty({ example: 300000, description: "The planner's estimate for tables that are not done yet." })
  rowsTotal: number;

  @ApiProperty({ example: 52428800 })
  bytesDone: number;

  @ApiProperty({ example: 131072000 })
  bytesTotal: number;

  @ApiProperty({ type: Number, nullable: true, example: 40 })
  percent: number | null;

  @ApiProperty({ type: Number, nullable: true, example: 12 })
  etaSeconds: number | null;
}

class DifferenceCountsDto {
  @ApiProperty({ example: 0, description: 'On the publisher, not on the subscriber.' })
  missing: number;

  @ApiProperty({ example: 0, description: 'On the subscriber, not on the publisher.' })
  extra: number;

  @ApiProperty({ example: 1 })
  different: number;
}

class VerifiedTableDto {
  @ApiProperty({ example: 'public' })
  schema: string;

  @ApiProperty({ example: 'orders' })
  name: string;

  @ApiProperty({ enum: VERDICTS, example: 'equal' })
  verdict: Verdict;

  @ApiProperty({ type: String, nullable: true, description: 'Why the verdict is neither equal nor different.' })
  reason: string | null;

  @ApiProperty({ type: Number, nullable: true, example: 100000, description: 'Of the publisher, at the LSN.' })
  rows: number | null;

  @ApiProperty({ type: String, nullable: true, example: '0/19A3D58' })
  verifiedLsn: string | null;

  @ApiProperty({ type: DifferenceCountsDto })
  differences: DifferenceCountsDto;
}

class SchemaFindingDto implements SchemaFinding {
  @ApiProperty({ enum: DRIFT_KINDS })
  kind: DriftKind;

  @ApiProperty({ type: TableToVerifyDto })
  table: TableToVerifyDto;

  @ApiProperty({ type: String, nullable: true, example: 'note' })
  column: string | null;

  @ApiProperty({ enum: ['publisher', 'subscriber'], description: 'Where it is to be mended.' })
  side: 'publisher' | 'subscriber';

  @ApiProperty({ enum: IMPACTS })
  impact: Impact;

  @ApiProperty({ example: 'the subscriber lacks the column "note"' })
  detail: string;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'What else to know, or to do where there is no statement.',
  })
  advice: string | null;

  @ApiProperty({ type: [String], description: 'Statements that mend it; the drift of the link has all in one order.' })
  sql: string[];
}

class ComparedSchemaDto implements ComparedSchema {
  @ApiProperty({ enum: ['none', 'drifted', 'unknown'], example: 'none' })
  state: ComparedSchema['state'];

  @ApiProperty({ type: String, nullable: true, description: 'Why it is unknown.' })
  reason: string | null;

  @ApiProperty({ example: 0, description: 'Differences of definitions; the first 100 are listed.' })
  found: number;

  @ApiProperty({ type: [SchemaFindingDto] })
  findings: SchemaFindingDto[];
}

class ComparedSequencesDto implements ComparedSequences {
  @ApiProperty({ enum: ['equal', 'different', 'unknown'], example: 'different' })
  state: ComparedSequences['state'];

  @ApiProperty({ type: String, nullable: true, description: 'Why it is unknown.' })
  reason: string | null;

  @ApiProperty({ example: 12 })
  compared: number;

  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'integer' },
    example: { equal: 11, behind: 1 },
    description: 'How many of each verdict.',
  })
  verdicts: ComparedSequences['verdicts'];

  @ApiProperty({ type: [ComparedSequenceDto], description: 'The first 100 that are not equal.' })
  listed: ComparedSequenceDto[];
}

class CountersDto {
  @ApiProperty({ description: 'In motion only.' })
  transactionsMatched: number;

  @ApiProperty({ description: 'In motion only.' })
  changesMatched: number;

  @ApiProperty({ description: 'Differences found so far.' })
  findings: number;
}

export class VerificationDto {
  @ApiProperty({ format: 'uuid', description: "Also its operation's id." })
  id: string;

  @ApiProperty({ enum: VERIFICATION_KINDS })
  kind: VerificationKind;

  @ApiProperty({ type: SubscriptionRefDto })
  subscriber: SubscriptionRefDto;

  @ApiProperty({ type: DatabaseRefDto })
  publisher: DatabaseRefDto;

  @ApiProperty({ enum: STATES, example: 'succeeded' })
  state: (typeof STATES)[number];

  @ApiProperty({
    enum: VERDICTS,
    nullable: true,
    example: 'equal',
    description: '`different` is certain; `pending`, `not-comparable` and `stalled` come with a `reason`.',
  })
  verdict: Verdict | null;

  @ApiProperty({ description: 'Why the verdict is neither equal nor different.', type: String, nullable: true })
  reason: string | null;

  @ApiProperty({
    type: String,
    nullable: true,
    example: '0/19A3D58',
    description: 'Publisher LSN at which the tables were compared; the lowest where they differ. Null: not all were.',
  })
  verifiedLsn: string | null;

  @ApiProperty({
    type: Boolean,
    nullable: true,
    example: true,
    description:
      'Whether everything was compared at one LSN, `verifiedLsn`. False: what could not be decided there was compared ' +
      'at a later one. Null: nothing was compared, or not yet.',
  })
  singleLsn: boolean | null;

  @ApiProperty({
    type: String,
    nullable: true,
    enum: ['own-slot', 'positions'],
    description: "How the subscriber's snapshot was bound to publisher transactions.",
  })
  method: string | null;

  @ApiProperty({ type: String, nullable: true, description: 'Why binding went by positions.' })
  methodReason: string | null;

  @ApiProperty({
    description: 'How often it was interrupted (the service was ended, or died) and went on where it was.',
    example: 0,
  })
  resumed: number;

  @ApiProperty({ description: 'Rows that were not compared again when it last went on.', example: 0 })
  rowsKept: number;

  @ApiProperty({
    type: String,
    nullable: true,
    example: 'the subscriber to be less than 268435456 bytes behind',
    description: 'What it waits for before it begins the next chunk; null: nothing.',
  })
  waitsFor: string | null;

  @ApiProperty({ type: VerificationProgressDto })
  progress: VerificationProgressDto;

  @ApiProperty({ type: [VerifiedTableDto] })
  tables: VerifiedTableDto[];

  @ApiProperty({
    type: ComparedSchemaDto,
    nullable: true,
    description: 'Definitions of the tables on both sides, once the rows were compared. The verdict is about the rows.',
  })
  schema: ComparedSchemaDto | null;

  @ApiProperty({
    type: ComparedSequencesDto,
    nullable: true,
    description:
      'Sequences of both sides, which no stream carries: they are behind until they are set (sync of the link’s ' +
      'sequences). Null where only some tables were asked for. The verdict is about the rows.',
  })
  sequences: ComparedSequencesDto | null;

  @ApiProperty({ type: CountersDto })
  counters: CountersDto;

  @ApiProperty({ format: 'date-time' })
  createdAt: string;

  @ApiProperty({ type: String, format: 'date-time', nullable: true })
  startedAt: string | null;

  @ApiProperty({ type: String, format: 'date-time', nullable: true })
  finishedAt: string | null;
}

class ColumnDifferenceDto {
  @ApiProperty({ example: 'total' })
  name: string;

  @ApiProperty({ type: String, nullable: true, example: '1.50', description: 'As the server prints it; null is NULL.' })
  publisher: string | null;

  @ApiProperty({ type: String, nullable: true, example: '1.500' })
  subscriber: string | null;
}

export class DifferenceDto {
  @ApiProperty({ example: 0, description: 'Within the verification; by which a repair is told of it.' })
  id: number;

  @ApiProperty({ example: 'public' })
  schema: string;

  @ApiProperty({ example: 'orders' })
  table: string;

  @ApiProperty({ enum: DIFFERENCE_KINDS, example: 'different' })
  kind: (typeof DIFFERENCE_KINDS)[number];

  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'string', nullable: true },
    nullable: true,
    example: { id: '42' },
    description: 'Null for a table without a key: then `columns` hold the row.',
  })
  key: Record<string, string | null> | null;

  @ApiProperty({ type: [ColumnDifferenceDto], description: 'Those that differ; all of a missing or extra row.' })
  columns: ColumnDifferenceDto[];

  @ApiProperty({ example: 1, description: 'How many equal rows it stands for; above 1 only without a key.' })
  count: number;

  @ApiProperty({ type: String, nullable: true, example: '0/19A3D58' })
  publisherLsn: string | null;

  @ApiProperty({
    description: 'Position on the subscriber at which it was seen; null where there is none.',
    type: String,
    nullable: true,
  })
  subscriberLsn: string | null;

  @ApiProperty({ format: 'date-time' })
  observedAt: string;
}
