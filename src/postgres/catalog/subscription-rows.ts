import type { SubscriptionWorker } from './subscriptions.js';

/** Rows of the queries in subscriptions.sql.ts; the same columns in every version. */
export interface SubscriptionRow {
  oid: string;
  name: string;
  owner: string;
  enabled: boolean;
  slot_name: string | null;
  publications: string[];
  synchronous_commit: string;
  binary: boolean | null;
  streaming: 'off' | 'on' | 'parallel' | null;
  two_phase_state: string | null;
  disable_on_error: boolean | null;
  skip_lsn: string | null;
  origin: string | null;
  password_required: boolean | null;
  run_as_owner: boolean | null;
  failover: boolean | null;
}

export interface TableRow {
  subscription: string;
  schema: string;
  name: string;
  state: string;
  lsn: string | null;
  copied_rows: string | null;
  copied_bytes: string | null;
  copying_seconds: number | null;
}

export interface WorkerRow {
  subscription: string;
  pid: number;
  kind: SubscriptionWorker['kind'];
  leader_pid: number | null;
  schema: string | null;
  name: string | null;
  received_lsn: string | null;
  latest_end_lsn: string | null;
  last_message_at: Date | null;
  started_at: Date | null;
}
