import { Injectable } from '@nestjs/common';
import { type Fingerprints, LinkLooks, type LinkLook, type LinkName, type SubscriberLook } from '../link-looks.js';
import { detailOf } from '../link-target.js';
import { unseenOf } from '../unseen.js';
import { compareLink } from './compare-link.js';
import type { Finding } from './finding.js';
import { LastLooks, type SchemaDrift } from './last-looks.js';
import { arrange, type Mending } from './mending.js';
import { SchemaLookRepository } from './schema-look.repository.js';

const MOST_NAMED = 3;

/** What a look found. */
export interface Drift extends SchemaDrift, Mending {
  subscriber: LinkName;
  publisher: { server: string; database: string } | null;
  /** Of each side's tables: equal where the schemas are, on all versions. Null: not known, or there is no table. */
  fingerprints: { publisher: string | null; subscriber: string | null };
}

/** Holds the schemas of both ends of a link against each other, and remembers what came of it. */
@Injectable()
export class DriftService {
  constructor(
    private readonly looks: LinkLooks,
    private readonly repository: SchemaLookRepository,
    private readonly last: LastLooks,
  ) {}

  /** Looks at everything now. Rejects with NOT_FOUND, and where the subscriber does not answer. */
  async drift(link: LinkName): Promise<Drift> {
    const subscriber = await this.looks.subscriber(link);
    const { fingerprints, look, findings } = await this.compare(subscriber);
    const kept = await this.remember(link, look, findings, fingerprints);
    const { publisher } = subscriber.target;
    const ends = { publisher: publisher ?? link, subscriber: { server: link.server, database: link.database } };
    return {
      ...kept,
      ...{ subscriber: link, publisher },
      fingerprints: { publisher: fingerprints?.publisher ?? null, subscriber: fingerprints?.subscriber ?? null },
      ...arrange(findings ?? [], ends),
    };
  }

  /**
   * Looks at the fingerprints, and at everything only where they changed. Rejects where the subscriber does not answer.
   * @param lost once aborted another instance may be looking: what it found is the newer
   */
  async glance(link: LinkName, lost: AbortSignal): Promise<void> {
    const before = await this.repository.find(link);
    const subscriber = await this.looks.subscriber(link);
    const { publisher } = subscriber.target;
    const now = publisher === null ? null : await this.fingerprints(subscriber, publisher);
    if (lost.aborted) return;
    if (now !== null && before !== null && before.basis === now.basis) return this.repository.confirm(link);
    const { fingerprints, look, findings } = await this.compare(subscriber, now);
    if (!lost.aborted) await this.remember(link, look, findings, fingerprints);
  }

  /** What kept a look from being had. */
  async fail(link: LinkName, reason: string): Promise<void> {
    await this.repository.record(link, { state: 'unknown', reason, fingerprints: null });
  }

  /** The fingerprints come first: what changes in between is seen by the next look. */
  private async compare(
    subscriber: SubscriberLook,
    known: Fingerprints | null = null,
  ): Promise<{ fingerprints: Fingerprints | null; look: LinkLook; findings: Finding[] | null }> {
    const { publisher } = subscriber.target;
    const fingerprints = known ?? (publisher === null ? null : await this.fingerprints(subscriber, publisher));
    const look = await this.looks.both(subscriber);
    return { fingerprints, look, findings: look.schema === null ? null : compareLink(look.schema) };
  }

  /** Null where an end does not answer: the look itself says why. */
  private async fingerprints(look: SubscriberLook, publisher: { server: string; database: string }) {
    try {
      return await this.looks.fingerprints(look, publisher);
    } catch (error) {
      detailOf(error);
      return null;
    }
  }

  private async remember(
    link: LinkName,
    seen: LinkLook,
    findings: readonly Finding[] | null,
    fingerprints: Fingerprints | null,
  ): Promise<SchemaDrift> {
    const counted = findings?.filter(({ impact }) => impact !== 'none' && impact !== 'unknown') ?? [];
    const undecided = summaryOf(findings?.filter(({ impact }) => impact === 'unknown') ?? []);
    const unseen = unseenOf(seen) ?? (undecided === null ? null : `not comparable: ${undecided}`);
    const state = counted.length > 0 ? 'drifted' : unseen === null ? 'none' : 'unknown';
    const reason = summaryOf(counted) ?? unseen;
    const known = state === 'unknown' ? null : fingerprints;
    const look = await this.repository.record(link, { state, reason, fingerprints: known });
    return look === null ? { state, reason, checkedAt: new Date(), since: null } : this.last.shown(look);
  }
}

function summaryOf(findings: readonly Finding[]): string | null {
  if (findings.length === 0) return null;
  const named = findings.slice(0, MOST_NAMED).map(({ kind, table, column }) => {
    return `${kind} ${table.schema}.${table.name}${column === null ? '' : `.${column}`}`;
  });
  const more = findings.length > MOST_NAMED ? ` and ${findings.length - MOST_NAMED} more` : '';
  return `${named.join(', ')}${more}`;
}
