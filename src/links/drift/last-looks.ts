import { Injectable } from '@nestjs/common';
import { Config } from '../../config/config.js';
import type { LinkName } from '../link-looks.js';
import { type DriftState, type SchemaLook, SchemaLookRepository } from './schema-look.repository.js';

/** What is known of a link's schemas without looking. */
export interface SchemaDrift {
  state: DriftState;
  /** Null: it was not looked at yet. */
  checkedAt: Date | null;
  /** Since when it has been drifted; null: it is not, as far as is known. */
  since: Date | null;
  /** The first differences, or why nothing is known; null: there is none. */
  reason: string | null;
}

/** What the last looks at links found, as callers see it. */
@Injectable()
export class LastLooks {
  constructor(
    private readonly repository: SchemaLookRepository,
    private readonly config: Config,
  ) {}

  /** In the order of the links. */
  async of(links: readonly LinkName[]): Promise<SchemaDrift[]> {
    const found = links.length === 1 ? [await this.repository.find(links[0]!)] : await this.repository.all();
    const byLink = new Map(found.flatMap((look) => (look === null ? [] : [[keyOf(look), look] as const])));
    return links.map((link) => this.shown(byLink.get(keyOf(link)) ?? null));
  }

  shown(look: SchemaLook | null): SchemaDrift {
    if (look !== null) {
      const { state, reason, checkedAt, driftedSince } = look;
      return { state, checkedAt, since: driftedSince, reason };
    }
    const reason =
      this.config.schemaDriftSeconds > 0
        ? 'it was not looked at yet'
        : 'nobody looks by itself (LOCKSTEP_SCHEMA_DRIFT_SECONDS is 0), and nobody has asked for it';
    return { state: 'unknown', checkedAt: null, since: null, reason };
  }
}

function keyOf({ server, database, subscription }: LinkName): string {
  return JSON.stringify([server, database, subscription]);
}
