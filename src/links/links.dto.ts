import { ApiProperty } from '@nestjs/swagger';
import { ProblemDto } from '../problems/problem.dto.js';
import type { ProblemDocument } from '../problems/problem.js';
import { ReplicationSlotDto } from '../replication-slots/replication-slots.dto.js';
import { PublisherEndDto, STATES, SubscriptionLagDto } from '../subscriptions/subscription.dto.js';
import { AGREEMENT_STATES, type AgreementCheck, CHECKS } from './agreement/check.js';
import { SchemaDriftDto } from './drift/drift.dto.js';
import type { LinkOrigin, LinkProcesses, LinkSender, LinkWorker } from './link-processes.js';
import type { UnknownLinks } from './links.service.js';

const nullable = true;

class LinkSubscriberDto extends PublisherEndDto {
  @ApiProperty({ example: 'orders_sub' })
  subscription: string;
}

class LinkPublisherDto extends PublisherEndDto {
  @ApiProperty({ description: 'Those the subscription asks for.', type: [String] })
  publications: string[];

  @ApiProperty({
    description: 'The slot as the publisher shows it; null: it is not there.',
    type: ReplicationSlotDto,
    nullable,
  })
  slot: ReplicationSlotDto | null;
}

export class LinkDto {
  @ApiProperty({ type: LinkSubscriberDto })
  subscriber: LinkSubscriberDto;

  @ApiProperty({ type: LinkPublisherDto, nullable, description: 'Null: not a registered server.' })
  publisher: LinkPublisherDto | null;

  @ApiProperty({ enum: STATES })
  state: (typeof STATES)[number];

  @ApiProperty({
    description:
      'Why it is in that state, or, while streaming, why the publisher could not be asked; null where nothing is wrong.',
    type: String,
    nullable,
  })
  reason: string | null;

  @ApiProperty({ type: SubscriptionLagDto })
  lag: SubscriptionLagDto;

  @ApiProperty({ description: 'The slot on the publisher that it streams from.', type: String, nullable })
  slotName: string | null;

  @ApiProperty({ type: SchemaDriftDto, description: 'As the last look found it; GET …/drift looks now.' })
  schemaDrift: SchemaDriftDto;
}

class UnknownLinksDto implements UnknownLinks {
  @ApiProperty({ example: 'orders-14' })
  server: string;

  @ApiProperty({ type: ProblemDto, description: 'Why its subscriptions could not be listed.' })
  problem: ProblemDocument;
}

export class LinkPageDto {
  @ApiProperty({ type: [LinkDto] })
  items: LinkDto[];

  @ApiProperty({ type: String, nullable, description: 'Give it as `cursor` to get the next page.' })
  nextCursor: string | null;

  @ApiProperty({
    type: [UnknownLinksDto],
    description: 'Servers whose links are not known, rather than none: they did not answer.',
  })
  unknown: UnknownLinksDto[];
}

class AgreementCheckDto implements AgreementCheck {
  @ApiProperty({ enum: CHECKS, example: 'connection-target' })
  check: (typeof CHECKS)[number];

  @ApiProperty({ enum: AGREEMENT_STATES, example: 'agrees', description: '`unknown`: it could not be looked at.' })
  state: (typeof AGREEMENT_STATES)[number];

  @ApiProperty({
    example: 'db-14.example.org:5432 is of the cluster 7397412349874390123, as orders-14 is',
    description: 'What was seen, or why nothing was.',
  })
  reason: string;

  @ApiProperty({ type: String, nullable, example: null, description: 'What to do.' })
  remedy: string | null;

  @ApiProperty({
    type: String,
    nullable,
    example: null,
    description: 'The statement that does it, a GRANT for example.',
  })
  sql: string | null;
}

const WHY_NULL = 'Why something of it is null; null: all is known.';

class LinkSenderDto implements LinkSender {
  @ApiProperty({ type: Number, nullable, example: 4242 })
  pid: number | null;

  @ApiProperty({ type: String, nullable, example: 'replicator' })
  user: string | null;

  @ApiProperty({ type: String, nullable, example: 'orders_sub' })
  application: string | null;

  @ApiProperty({ type: String, nullable, example: '10.0.0.18', description: 'Null also for a local socket.' })
  clientAddress: string | null;

  @ApiProperty({ type: String, nullable, example: 'streaming', description: 'As pg_stat_replication has it.' })
  state: string | null;

  @ApiProperty({ type: String, nullable, example: '0/1A2B3C8', description: 'Sent up to here.' })
  sentLsn: string | null;

  @ApiProperty({ type: String, nullable, example: '0/1A2B3C8', description: 'Reported as written by the subscriber.' })
  writeLsn: string | null;

  @ApiProperty({ type: String, nullable, example: '0/1A2B3C8', description: 'Reported as on disk.' })
  flushLsn: string | null;

  @ApiProperty({ type: String, nullable, example: '0/1A2B3C8', description: 'Reported as applied.' })
  replayLsn: string | null;

  @ApiProperty({ type: String, nullable, example: null, description: WHY_NULL })
  reason: string | null;
}

class LinkOriginDto implements LinkOrigin {
  @ApiProperty({ example: 'pg_16400' })
  name: string;

  @ApiProperty({ example: true })
  exists: boolean;

  @ApiProperty({
    ...{ type: String, nullable, example: '0/1A2B3C8' },
    description: "The publisher's LSN up to which transactions are applied.",
  })
  remoteLsn: string | null;

  @ApiProperty({ type: String, nullable, example: null, description: WHY_NULL })
  reason: string | null;
}

class LinkWorkerDto implements LinkWorker {
  @ApiProperty({ type: Number, nullable, example: 717 })
  pid: number | null;

  @ApiProperty({ type: String, format: 'date-time', nullable })
  startedAt: string | null;

  @ApiProperty({ type: String, nullable, example: '0/1A2B3C8', description: 'Last position received.' })
  receivedLsn: string | null;

  @ApiProperty({
    type: String,
    nullable,
    example: '0/1A2B3C8',
    description: 'Last position reported to the publisher.',
  })
  latestEndLsn: string | null;

  @ApiProperty({ type: String, format: 'date-time', nullable, description: 'When something last came.' })
  lastMessageAt: string | null;

  @ApiProperty({ type: String, nullable, example: null, description: WHY_NULL })
  reason: string | null;
}

export class CheckedLinkDto extends LinkDto implements LinkProcesses {
  @ApiProperty({
    type: LinkSenderDto,
    description:
      "The publisher's process that serves the slot, whosever it is: `slot-ours` of the agreement says whether it serves this subscription.",
  })
  walsender: LinkSenderDto;

  @ApiProperty({ type: LinkOriginDto, description: 'Where the subscriber records up to where it has applied.' })
  origin: LinkOriginDto;

  @ApiProperty({ type: LinkWorkerDto, description: "The subscriber's process that applies." })
  applyWorker: LinkWorkerDto;

  @ApiProperty({ type: [AgreementCheckDto], description: 'Always all checks, in this order.' })
  agreement: AgreementCheckDto[];
}
