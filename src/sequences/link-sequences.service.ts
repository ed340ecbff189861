import { Injectable } from '@nestjs/common';
import { carryOut, type Change, type ChangeOptions, type Place, plan } from '../changes/change.js';
import { readSequences, type SequencePage } from '../postgres/catalog/sequences-list.js';
import type { TableName } from '../postgres/catalog/tables.js';
import { setSequencePositions } from '../postgres/ddl/sequence-position.ddl.js';
import { identifier } from '../postgres/quoting.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { LinksService } from '../links/links.service.js';
import { compareBothEnds, type ComparedSequence, keyOf, type Position, toBeSet } from './sequence-comparison.js';

/** A subscription, named from its subscriber. */
export interface LinkName extends Place {
  subscription: string;
}

export interface SyncRequest {
  /** Sets also those that stand further on the subscriber: it may then hand out values a second time. */
  force?: boolean;
  /** Only these; unset: all that the publisher has. */
  sequences?: TableName[];
}

export interface MovedSequence extends TableName {
  from: Position;
  to: Position;
}

/** What a sync did, or would do. */
export interface SequenceSync {
  moved: MovedSequence[];
  /** What was asked for and does not stand equal afterwards, with why it was left. */
  left: (ComparedSequence & { reason: string })[];
}

/**
 * Sequences of both ends of a link. Logical replication carries none of them, so on the subscriber they stand where they
 * were made until somebody sets them.
 */
@Injectable()
export class LinkSequencesService {
  constructor(
    private readonly servers: ServersService,
    private readonly links: LinksService,
  ) {}

  /** By schema and name. Rejects with CONFLICT when the publisher is no registered server. */
  async compare(link: LinkName, page: SequencePage = {}): Promise<ComparedSequence[]> {
    const publisher = await this.publisherOf(link);
    const [there, here] = await Promise.all(
      [publisher, link].map(({ server, database }) =>
        this.servers.withSession(server, database, (session) => readSequences(session, page)),
      ),
    );
    // What is among the first of both together is among the first of its own side: a page of each is enough for one.
    return compareBothEnds(there!, here!).slice(0, page.limit);
  }

  /**
   * Sets sequences of the subscriber to where the publisher's stand. Safe to repeat: what was set stays set when it fails
   * half way, and is left alone the next time.
   */
  async sync(
    link: LinkName,
    { force = false, sequences }: SyncRequest,
    { dryRun = false }: ChangeOptions = {},
  ): Promise<Change<SequenceSync> & { planned: SequenceSync }> {
    const asked = select(await this.compare(link), sequences);
    const moves = asked.filter((sequence) => toBeSet(sequence, force));
    const statements = setSequencePositions(
      moves.map(({ schema, name, publisher }) => ({ schema, name, ...publisher! })),
      { backwards: force },
    );
    const shown = plan({ server: link.server, database: link.database }, statements);
    const planned = outcome(asked, moves, force);
    if (dryRun) return { statements: shown, result: null, planned };
    const set = await this.servers.withSession(link.server, link.database, async (session) => {
      const names = new Set<string>();
      // Each by itself: together they would hold a lock on every sequence, and setval is not undone by a rollback anyway.
      for (const statement of statements) {
        const rows = await carryOut<{ sequence: string }>(session, [statement]);
        for (const { sequence } of rows) names.add(sequence);
      }
      return names;
    });
    const moved = moves.filter(({ schema, name }) => set.has(identifier(schema, name)));
    return { statements: shown, result: outcome(asked, moved, force), planned };
  }

  private async publisherOf({ server, database, subscription }: LinkName): Promise<Place> {
    const { publisher, lag } = await this.links.get(server, database, subscription);
    if (publisher) return publisher;
    throw new Problem('CONFLICT', `the publisher of this link is not known: ${lag.reason ?? 'no reason was given'}`, {
      hint: "Register it under the address that the subscription connects to, or give that as advertisedHost; on the subscriber, the login must be able to read the subscription's connection string.",
    });
  }
}

function select(compared: ComparedSequence[], names: TableName[] | undefined): ComparedSequence[] {
  if (names === undefined) return compared.filter(({ verdict }) => verdict !== 'extra');
  const byKey = new Map(compared.map((sequence) => [keyOf(sequence), sequence]));
  const absent = names.filter((name) => !byKey.has(keyOf(name)));
  if (absent.length > 0) {
    const list = absent.map(({ schema, name }) => identifier(schema, name)).join(', ');
    throw new Problem('NOT_FOUND', `neither end of the link has a sequence ${list}`);
  }
  const asked = new Set(names.map(keyOf));
  return compared.filter((sequence) => asked.has(keyOf(sequence)));
}

function outcome(asked: ComparedSequence[], moved: ComparedSequence[], force: boolean): SequenceSync {
  const keys = new Set(moved.map(keyOf));
  return {
    moved: moved.map(({ schema, name, publisher, subscriber }) => ({
      schema,
      name,
      from: subscriber!,
      to: publisher!,
    })),
    left: asked
      .filter((sequence) => sequence.verdict !== 'equal' && !keys.has(keyOf(sequence)))
      .map((sequence) => ({ ...sequence, reason: sequence.reason ?? whyLeft(sequence, force) })),
  };
}

function whyLeft({ verdict }: ComparedSequence, force: boolean): string {
  if (verdict === 'missing') return 'the subscriber has no such sequence: create it';
  if (verdict === 'extra') return 'the publisher has no such sequence';
  if (verdict === 'ahead' && !force) return 'it stands further on the subscriber: only force sets it back';
  return 'it was moved or dropped on the subscriber meanwhile';
}
