import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { CHECKED_ROWS, type Content, type Effect, type RowState, type Subject } from './checked-rows.js';

/** One transaction a writer means to commit, from the first attempt to its acknowledgement. */
export interface Write {
  /** Client-generated, stored by the transaction itself: the way to find out whether an unanswered COMMIT happened. */
  clientId: string;
  writer: number;
  n: number;
  kind: string;
  /** What each attempt would have done, by attempt number. An unanswered attempt may turn out to be the one. */
  attempts: Map<number, Effect>;
}

export interface LedgerVerdict {
  /** Writes whose COMMIT was answered, or which were found committed afterwards. */
  acknowledged: number;
  /** Client ids of acknowledged writes that the database does not have. */
  lost: string[];
  /** Client ids, or rows, the database has more than once. */
  duplicated: string[];
  /** Everything else that is not as the acknowledged writes left it, one sentence each. */
  mismatches: string[];
  /** Writes that ended without an answer, resolved by looking them up. */
  inDoubt: { committed: number; rolledBack: number };
}

interface Listed {
  source: string;
  key: string;
  content: Content;
}

/** Everything the writers of one run were told is committed, and the check of a database against it. */
export class Ledger {
  /** Tells this run's rows from those of other runs on the same database. */
  readonly run = randomBytes(4).toString('hex');
  private readonly acknowledgedWrites = new Map<string, number>();
  private readonly pending = new Map<string, Write>();
  /** By subject, then source, then key. */
  private readonly rows = new Map<Subject, Map<string, Map<string, Content>>>();
  private readonly cents = new Map<number, bigint>();
  private opening: Map<number, string> | null = null;

  get acknowledged(): number {
    return this.acknowledgedWrites.size;
  }

  /** Balances before the first write; the check adds what was acknowledged. Later calls keep the first answer. */
  async open(client: pg.Client): Promise<void> {
    this.opening ??= await balances(client);
  }

  source(writer: number): string {
    return `${this.run}-${writer}`;
  }

  /** The rows a writer owns now. Only its own acknowledged writes change them. */
  owned(writer: number, subject: Subject): RowState[] {
    const owned = this.rowsOf(subject, this.source(writer));
    return [...owned].map(([key, content]) => ({ subject, key, content }));
  }

  begin(write: Write): void {
    this.pending.set(write.clientId, write);
  }

  /** The COMMIT of that attempt was answered, or found to have happened. */
  acknowledge(write: Write, attempt: number): void {
    const effect = write.attempts.get(attempt);
    if (!effect) throw new Error(`write ${write.clientId} has no attempt ${attempt}`);
    this.pending.delete(write.clientId);
    this.acknowledgedWrites.set(write.clientId, attempt);
    for (const row of effect.rows) {
      const rows = this.rowsOf(row.subject, this.source(write.writer));
      if (row.content) rows.set(row.key, row.content);
      else rows.delete(row.key);
    }
    for (const { account, cents } of effect.transfers) {
      this.cents.set(account, (this.cents.get(account) ?? 0n) + BigInt(cents));
    }
  }

  /** The server refused the write for good; nothing of it is committed. */
  abandon(write: Write): void {
    this.pending.delete(write.clientId);
  }

  /**
   * Compares a database with what was acknowledged. Writers must have stopped, and the database must be the one they
   * wrote to last. Writes still in doubt are resolved first, by looking up their client ids.
   */
  async check(client: pg.Client): Promise<LedgerVerdict> {
    const verdict: LedgerVerdict = {
      acknowledged: 0,
      lost: [],
      duplicated: [],
      mismatches: [],
      inDoubt: { committed: 0, rolledBack: 0 },
    };
    const found = await client.query<{ client_id: string; attempt: number; times: number }>(
      `select client_id::text, min(attempt) as attempt, count(*)::integer as times from app.client_write where run = $1 group by client_id`,
      [this.run],
    );
    const present = new Map(found.rows.map((row) => [row.client_id, row]));
    for (const write of [...this.pending.values()]) {
      const row = present.get(write.clientId);
      if (row) this.acknowledge(write, row.attempt);
      else this.abandon(write);
      verdict.inDoubt[row ? 'committed' : 'rolledBack']++;
    }
    verdict.acknowledged = this.acknowledged;
    for (const [clientId, attempt] of this.acknowledgedWrites) {
      const row = present.get(clientId);
      if (!row) verdict.lost.push(clientId);
      else if (row.times > 1) verdict.duplicated.push(clientId);
      else if (row.attempt !== attempt) {
        verdict.mismatches.push(
          `write ${clientId}: attempt ${attempt} was acknowledged, attempt ${row.attempt} is there`,
        );
      }
    }
    for (const clientId of present.keys()) {
      if (!this.acknowledgedWrites.has(clientId)) verdict.mismatches.push(`write ${clientId} was never made`);
    }
    for (const subject of Object.keys(CHECKED_ROWS) as Subject[]) await this.checkRows(client, subject, verdict);
    await this.checkBalances(client, verdict);
    return verdict;
  }

  private rowsOf(subject: Subject, source: string): Map<string, Content> {
    const bySource = this.rows.get(subject) ?? new Map<string, Map<string, Content>>();
    this.rows.set(subject, bySource);
    const rows = bySource.get(source) ?? new Map<string, Content>();
    bySource.set(source, rows);
    return rows;
  }

  private async checkRows(client: pg.Client, subject: Subject, verdict: LedgerVerdict): Promise<void> {
    const listed = await client.query<Listed>(CHECKED_ROWS[subject], [`${this.run}-%`]);
    const expected = new Map<string, Content>();
    for (const [source, rows] of this.rows.get(subject) ?? []) {
      for (const [key, content] of rows) expected.set(`${source} ${key}`, content);
    }
    const seen = new Set<string>();
    for (const row of listed.rows) {
      const key = `${row.source} ${row.key}`;
      if (seen.has(key)) {
        verdict.duplicated.push(`${subject} ${key}`);
        continue;
      }
      seen.add(key);
      const content = expected.get(key);
      expected.delete(key);
      const [is, was] = [JSON.stringify(row.content), JSON.stringify(content)];
      if (!content) verdict.mismatches.push(`${subject} ${key} should not be there: ${is}`);
      else if (is !== was) verdict.mismatches.push(`${subject} ${key} is ${is}, was written as ${was}`);
    }
    for (const key of expected.keys()) verdict.mismatches.push(`${subject} ${key} is missing`);
  }

  private async checkBalances(client: pg.Client, verdict: LedgerVerdict): Promise<void> {
    const now = await balances(client);
    for (const [account, opening] of this.opening ?? []) {
      const expected = toCents(opening) + (this.cents.get(account) ?? 0n);
      const balance = now.get(account);
      if (balance === undefined) verdict.mismatches.push(`account ${account} is missing`);
      else if (toCents(balance) !== expected) {
        const cents = expected.toString();
        verdict.mismatches.push(
          `account ${account} has ${toCents(balance).toString()} cents, acknowledged are ${cents}`,
        );
      }
    }
  }
}

/** True when nothing acknowledged is missing, doubled or different. */
export function held(verdict: LedgerVerdict): boolean {
  return verdict.lost.length + verdict.duplicated.length + verdict.mismatches.length === 0;
}

async function balances(client: pg.Client): Promise<Map<number, string>> {
  const { rows } = await client.query<{ id: number; balance: string }>('select id, balance::text from app.account');
  return new Map(rows.map(({ id, balance }) => [id, balance]));
}

/** numeric(20, 2) comes as text with exactly two decimals. */
function toCents(balance: string): bigint {
  return BigInt(balance.replace('.', ''));
}
