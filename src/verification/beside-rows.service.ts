import { Injectable, Logger } from '@nestjs/common';
import type { TableName } from '../postgres/catalog/tables.js';
import { DriftService } from '../links/drift/drift.service.js';
import type { DriftFinding } from '../links/drift/mending.js';
import { Problem } from '../problems/problem.js';
import { LinkSequencesService } from '../sequences/link-sequences.service.js';
import type { ComparedSequence, SequenceVerdict } from '../sequences/sequence-comparison.js';

export type SchemaFinding = Pick<
  DriftFinding,
  'kind' | 'table' | 'column' | 'side' | 'impact' | 'detail' | 'advice'
> & { sql: string[] };

/** `unknown`: not looked at, or in part, see the reason. */
export interface ComparedSchema {
  state: 'none' | 'drifted' | 'unknown';
  reason: string | null;
  /** How many there are; the first ones are listed. */
  found: number;
  findings: SchemaFinding[];
}

export interface ComparedSequences {
  state: 'equal' | 'different' | 'unknown';
  reason: string | null;
  compared: number;
  /** How many of each verdict. */
  verdicts: Partial<Record<SequenceVerdict, number>>;
  /** The first of those that are not equal. */
  listed: ComparedSequence[];
}

/** What no stream carries: of the link, when its rows were compared. The verdict is about the rows alone. */
export interface BesideRows {
  schema: ComparedSchema;
  /** Null: only some tables were asked for. */
  sequences: ComparedSequences | null;
}

const MOST_LISTED = 100;
const log = new Logger('verification');

/** Compares what belongs to a link besides its rows: definitions of tables, and sequences. */
@Injectable()
export class BesideRowsService {
  constructor(
    private readonly drift: DriftService,
    private readonly sequences: LinkSequencesService,
  ) {}

  /** Never rejects for what a server says: then it is unknown. */
  async of(
    link: { server: string; database: string; subscription: string },
    tables: readonly TableName[] | null,
  ): Promise<BesideRows> {
    const schema = await answered(this.schemaOf(link, tables), unknownSchema);
    return { schema, sequences: tables === null ? await answered(this.sequencesOf(link), unknownSequences) : null };
  }

  private async schemaOf(
    link: { server: string; database: string; subscription: string },
    tables: readonly TableName[] | null,
  ): Promise<ComparedSchema> {
    const { state, reason, findings } = await this.drift.drift(link);
    const wanted = tables && new Set(tables.map(keyOf));
    const theirs = findings.filter(({ table, impact }) => impact !== 'none' && (wanted?.has(keyOf(table)) ?? true));
    const counts = theirs.filter(({ impact }) => impact !== 'unknown').length;
    return {
      state: state === 'drifted' && counts === 0 ? 'none' : state,
      reason: state === 'unknown' ? reason : null,
      found: theirs.length,
      findings: theirs
        .slice(0, MOST_LISTED)
        .map(({ kind, table, column, side, impact, detail, advice, statements }) => ({
          ...{ kind, table, column, side, impact, detail, advice },
          sql: statements.map(({ sql }) => sql),
        })),
    };
  }

  private async sequencesOf(link: {
    server: string;
    database: string;
    subscription: string;
  }): Promise<ComparedSequences> {
    const compared = await this.sequences.compare(link);
    const verdicts: ComparedSequences['verdicts'] = {};
    for (const { verdict } of compared) verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
    const unlike = compared.filter(({ verdict }) => verdict !== 'equal');
    const isUnseen = unlike.every(({ verdict }) => verdict === 'unknown');
    return {
      state: unlike.length === 0 ? 'equal' : isUnseen ? 'unknown' : 'different',
      reason: null,
      compared: compared.length,
      verdicts,
      listed: unlike.slice(0, MOST_LISTED),
    };
  }
}

async function answered<T>(asked: Promise<T>, unknown: (reason: string) => T): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Problem && error.code !== 'INTERNAL') return unknown(error.detail);
    // The rows were compared, which may have taken days: a fault of ours beside them does not undo that.
    log.error(`not compared: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    return unknown('it could not be compared for a fault of the service, which is in its log');
  }
}

function unknownSchema(reason: string): ComparedSchema {
  return { state: 'unknown', reason, found: 0, findings: [] };
}

function unknownSequences(reason: string): ComparedSequences {
  return { state: 'unknown', reason, compared: 0, verdicts: {}, listed: [] };
}

function keyOf({ schema, name }: TableName): string {
  return JSON.stringify([schema, name]);
}
