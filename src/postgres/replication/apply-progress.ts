import { setTimeout as delay } from 'node:timers/promises';
import { Problem } from '../../problems/problem.js';
import { formatLsn, maxLsn, parseLsn, ZERO_LSN, type Lsn } from '../../shared/lsn.js';
import { applyIdleExpression, applyProgressSql } from '../catalog/apply.sql.js';
import { SLOT_CONFIRMED } from '../catalog/logical-slot.sql.js';
import { variantFor } from '../catalog/variant.js';
import type { Session } from '../session.js';

const POLL_MS = 10;
const MAX_POLL_MS = 100;

export interface AppliedSubscription {
  oid: number;
  name: string;
  /** On the publisher. */
  slotName: string;
}

interface SubscriberRow {
  applied: string | null;
  enabled: boolean | null;
  worker: number | null;
  errors: string | null;
  [column: string]: unknown;
}

interface Observation {
  /** Null: unknown, which is not "nothing". */
  remote: Lsn | null;
  confirmed: Lsn | null;
  workerPid: number | null;
  errors: bigint | null;
}

/**
 * Waits until the subscriber has applied, visibly, every publisher transaction with a commit end LSN up to `lsn`. That
 * is known when the origin is past it, when the subscription's own slot was confirmed up to it (a transaction
 * without effect never moves the origin), or when the origin is exactly there and no apply worker is in a
 * transaction any more: the origin moves a moment before the commit becomes visible.
 */
export class ApplyProgress {
  private first: Observation | null = null;
  private last: Observation | null = null;

  constructor(
    private readonly publisher: Session,
    private readonly subscriber: Session,
    private readonly subscription: AppliedSubscription,
    /** From `originProgressExpression`. */
    private readonly originExpression: string,
  ) {}

  /** The subscription slot's confirmed_flush_lsn on the publisher. Throws NOT_FOUND when the slot is gone. */
  async confirmed(): Promise<Lsn | null> {
    const [row] = await this.publisher.rows<{ confirmed: string | null }>(
      variantFor(SLOT_CONFIRMED, this.publisher.versionNum),
      [this.subscription.slotName],
    );
    if (!row) {
      throw new Problem(
        'NOT_FOUND',
        `slot "${this.subscription.slotName}" of the subscription is not on the publisher`,
      );
    }
    return row.confirmed === null ? null : parseLsn(row.confirmed);
  }

  /** Throws PREREQUISITE_FAILED (`stalledAt`) or SERVER_TIMEOUT when it does not get there until `deadline` (ms epoch). */
  async waitUntilApplied(lsn: Lsn, deadline: number, signal?: AbortSignal): Promise<void> {
    for (let pause = POLL_MS; ; pause = Math.min(pause * 1.5, MAX_POLL_MS)) {
      if (await this.isApplied(lsn)) return;
      if (Date.now() + pause > deadline) throw this.lateProblem(lsn);
      await delay(pause, undefined, { signal }).catch(() => {
        throw new Problem('SERVER_TIMEOUT', 'waiting for the subscriber was cancelled');
      });
    }
  }

  private async isApplied(lsn: Lsn): Promise<boolean> {
    const observed = await this.observe();
    this.first ??= observed;
    this.last = observed;
    if (observed.confirmed !== null && observed.confirmed >= lsn) return true;
    if (observed.remote === null || observed.remote < lsn) return false;
    if (observed.remote > lsn) return true;
    const { idle } = await this.subscriber.row<{ idle: boolean }>(
      `select ${applyIdleExpression(this.subscription.oid)} as idle`,
    );
    return idle;
  }

  private async observe(): Promise<Observation> {
    const sql = variantFor(applyProgressSql(this.originExpression), this.subscriber.versionNum);
    const [confirmed, [row]] = await Promise.all([
      this.confirmed(),
      this.subscriber.rows<SubscriberRow>(sql, [this.subscription.oid, this.subscription.name]),
    ]);
    if (!row) {
      const { name, oid } = this.subscription;
      throw new Problem('NOT_FOUND', `${this.subscriber.where} has no subscription "${name}" with oid ${oid}`);
    }
    const remote = row.applied === null ? null : parseLsn(row.applied);
    if (row.enabled === false) {
      throw this.stalled(`subscription "${this.subscription.name}" is disabled`, remote, null, null);
    }
    return {
      remote,
      confirmed,
      workerPid: row.worker,
      errors: row.errors === null ? null : BigInt(row.errors),
    };
  }

  private lateProblem(lsn: Lsn): Problem {
    const [first, last] = [this.first!, this.last!];
    const name = `subscription "${this.subscription.name}"`;
    const at = last.remote === null ? 'an unknown position' : formatLsn(last.remote);
    const failing = first.errors !== null && last.errors !== null && last.errors > first.errors;
    if (failing) return this.stalled(`${name} keeps failing at ${at}`, last.remote, last.workerPid, last.errors);
    if (last.workerPid === null)
      return this.stalled(`${name} has no apply worker; it is at ${at}`, last.remote, null, last.errors);
    const moved = best(last) > best(first);
    if (!moved) return this.stalled(`${name} did not move from ${at}`, last.remote, last.workerPid, last.errors);
    return new Problem('SERVER_TIMEOUT', `${name} is at ${at} and did not reach ${formatLsn(lsn)} in time`, {
      extra: { appliedLsn: last.remote === null ? null : formatLsn(last.remote) },
    });
  }

  private stalled(detail: string, remote: Lsn | null, workerPid: number | null, errors: bigint | null): Problem {
    return new Problem('PREREQUISITE_FAILED', detail, {
      hint: "The subscriber's log names the conflict or the missing right; see also pg_stat_subscription_stats.",
      extra: {
        stalledAt: remote === null ? null : formatLsn(remote),
        workerPid,
        applyErrorCount: errors === null ? null : errors.toString(),
      },
    });
  }
}

function best(observation: Observation): Lsn {
  return maxLsn(observation.remote ?? ZERO_LSN, observation.confirmed ?? ZERO_LSN);
}
