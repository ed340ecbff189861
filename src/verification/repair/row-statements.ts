import { statementFailpoint } from '../../engine/failpoints.js';

const OF_ROWS = /^(insert into|update|delete from) /;
/** Texts told of; tables of many columns have many that differ by the columns they set. */
const MOST_TEXTS = 100;

/** Counts the statements that write rows by their text, which holds no value: thousands of them are few texts. */
export class RowStatements {
  private readonly texts = new Map<string, number>();

  /** Whether the statement is one of those. */
  note(sql: string): boolean {
    if (!OF_ROWS.test(sql)) return false;
    statementFailpoint(`subscriber: ${sql}`);
    this.texts.set(sql, (this.texts.get(sql) ?? 0) + 1);
    return true;
  }

  told(): string[] {
    const told = [...this.texts].slice(0, MOST_TEXTS).map(([sql, n]) => `-- subscriber, ${n} times\n${sql}`);
    const left = this.texts.size - told.length;
    return left > 0 ? [...told, `-- and ${left} more texts`] : told;
  }

  /** Sent, whether or not they were committed. */
  counts(): { inserts: number; updates: number; deletes: number } {
    const of = (word: string) => [...this.texts].reduce((sum, [sql, n]) => (sql.startsWith(word) ? sum + n : sum), 0);
    return { inserts: of('insert'), updates: of('update'), deletes: of('delete') };
  }
}
