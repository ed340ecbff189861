import { statementFailpoint } from '../engine/failpoints.js';
import { redactText } from '../observability/redact.js';
import { cutText } from '../shared/cut-text.js';

/** Most statements kept of one step; a restore of thousands of tables is told by its first ones and a count. */
const MOST_STATEMENTS = 500;
const MOST_CHARACTERS = 2_000;

/** Statements that change something, by their first words. */
const CHANGES =
  /^(create|alter|drop|grant|revoke|insert|update|delete|truncate|refresh|analyze|comment|security|reassign|do|copy|begin;)\b/i;
/** Functions called by select that change something. */
const CHANGING_CALLS =
  /pg_catalog\.(setval|pg_terminate_backend|pg_cancel_backend|pg_create_logical_replication_slot|pg_drop_replication_slot|pg_replication_slot_advance|pg_logical_emit_message)\s*\(/i;

/** Collects the statements by which an operation changed servers, for its audit events; secrets left out. */
export class StatementJournal {
  private statements: string[] = [];
  private left = 0;

  note(side: string, sql: string): void {
    const text = sql.trim();
    if (!CHANGES.test(text) && !CHANGING_CALLS.test(text)) return;
    statementFailpoint(`${side}: ${text}`);
    if (this.statements.length >= MOST_STATEMENTS) {
      this.left++;
      return;
    }
    // Redacted before it is cut: half a secret is not recognised any more.
    this.statements.push(`-- ${side}\n${cutText(redactText(text), MOST_CHARACTERS)}`);
  }

  /** What was collected since the last call. */
  take(): string[] {
    const taken = this.left > 0 ? [...this.statements, `-- and ${this.left} more statements`] : this.statements;
    this.statements = [];
    this.left = 0;
    return taken;
  }
}
