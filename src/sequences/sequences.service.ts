import { Injectable } from '@nestjs/common';
import { readSequence, readSequences, type Sequence, type SequencePage } from '../postgres/catalog/sequences-list.js';
import type { TableName } from '../postgres/catalog/tables.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { headroomOf, type SequenceHeadroom } from './sequence-headroom.js';

/** A sequence as the API shows it. */
export interface SequenceView extends Sequence {
  headroom: SequenceHeadroom | null;
}

/** Sequences of any database of any registered server. */
@Injectable()
export class SequencesService {
  constructor(private readonly servers: ServersService) {}

  /** By schema and name. */
  async list(server: string, database: string, page: SequencePage = {}): Promise<SequenceView[]> {
    const sequences = await this.servers.withSession(server, database, (session) => readSequences(session, page));
    return sequences.map(viewOf);
  }

  /** Rejects with NOT_FOUND. */
  async get(server: string, database: string, name: TableName): Promise<SequenceView> {
    const found = await this.servers.withSession(server, database, (session) => readSequence(session, name));
    if (found) return viewOf(found);
    throw new Problem(
      'NOT_FOUND',
      `there is no sequence ${JSON.stringify(name.name)} in schema ${JSON.stringify(name.schema)}`,
    );
  }
}

function viewOf(sequence: Sequence): SequenceView {
  return { ...sequence, headroom: headroomOf(sequence) };
}
