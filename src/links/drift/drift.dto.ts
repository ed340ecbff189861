import { ApiProperty } from '@nestjs/swagger';
import { PlannedStatementDto } from '../../changes/plan.dto.js';
import { PublisherEndDto } from '../../subscriptions/subscription.dto.js';
import type { Drift } from './drift.service.js';
import { DRIFT_KINDS, type DriftKind, type Impact, IMPACTS, type Side } from './finding.js';
import type { SchemaDrift } from './last-looks.js';
import type { DriftFinding, OrderedStatement } from './mending.js';

const nullable = true;

export class SchemaDriftDto implements SchemaDrift {
  @ApiProperty({
    enum: ['none', 'drifted', 'unknown'],
    example: 'drifted',
    description: '`unknown`: it could not be looked at, or was not yet.',
  })
  state: SchemaDrift['state'];

  @ApiProperty({ type: String, format: 'date-time', nullable, description: 'Null: never yet.' })
  checkedAt: Date | null;

  @ApiProperty({
    type: String,
    format: 'date-time',
    nullable,
    description: 'Since when it has been found drifted; kept while it is unknown.',
  })
  since: Date | null;

  @ApiProperty({
    type: String,
    nullable,
    example: 'column-missing public.orders.note',
    description: 'The first differences, or why nothing is known; null: there is none.',
  })
  reason: string | null;
}

class DriftLinkDto extends PublisherEndDto {
  @ApiProperty({ example: 'orders_sub' })
  subscription: string;
}

class FingerprintsDto {
  @ApiProperty({ type: String, nullable, example: '5f1d7a84db00d2fce00b31a7fc73224f' })
  publisher: string | null;

  @ApiProperty({ type: String, nullable, example: '5f1d7a84db00d2fce00b31a7fc73224f' })
  subscriber: string | null;
}

class DriftedTableDto {
  @ApiProperty({ example: 'public' })
  schema: string;

  @ApiProperty({ example: 'orders' })
  name: string;
}

class OrderedStatementDto extends PlannedStatementDto implements OrderedStatement {
  @ApiProperty({ example: 1, description: 'From 1, over the whole link: the order in which they are to run.' })
  order: number;
}

class DriftFindingDto implements DriftFinding {
  @ApiProperty({ enum: DRIFT_KINDS, example: 'column-missing' })
  kind: DriftKind;

  @ApiProperty({ type: DriftedTableDto, description: 'As the publisher names it.' })
  table: DriftedTableDto;

  @ApiProperty({ type: String, nullable, example: 'note', description: 'Null: it is about the whole table.' })
  column: string | null;

  @ApiProperty({ enum: ['publisher', 'subscriber'], example: 'subscriber', description: 'Where it is to be mended.' })
  side: Side;

  @ApiProperty({
    enum: IMPACTS,
    example: 'stops-apply',
    description:
      '`stops-apply`: the next change of the table does. `may-stop-apply`: some do. `fails-writes`: UPDATE and DELETE ' +
      'fail on the publisher. `may-differ`: all is applied, and the sides need not hold or compare the same. `unknown`: ' +
      'whether there is a difference cannot be told. `none`: legal and without effect. The last two are no drift.',
  })
  impact: Impact;

  @ApiProperty({ example: 'the subscriber has no column "note" (text)' })
  detail: string;

  @ApiProperty({ type: String, nullable, description: 'What else to know, or to do where there are no statements.' })
  advice: string | null;

  @ApiProperty({ type: [OrderedStatementDto], description: 'Those of the link that mend it; one may mend several.' })
  statements: OrderedStatementDto[];
}

export class DriftDto extends SchemaDriftDto implements Drift {
  @ApiProperty({ type: DriftLinkDto })
  subscriber: DriftLinkDto;

  @ApiProperty({ type: PublisherEndDto, nullable, description: 'Null: not known.' })
  publisher: PublisherEndDto | null;

  @ApiProperty({
    type: FingerprintsDto,
    description: "Of each side's tables: equal where the schemas are, on all versions. Null: not known, or no table.",
  })
  fingerprints: FingerprintsDto;

  @ApiProperty({ type: [DriftFindingDto] })
  findings: DriftFindingDto[];

  @ApiProperty({
    type: [OrderedStatementDto],
    description:
      'Those that end the drift, in order, each once. What drops or renames stands with its finding only: it may be wrong.',
  })
  statements: OrderedStatementDto[];
}
