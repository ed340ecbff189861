import { Problem } from '../../problems/problem.js';
import { formatLsn, type Lsn } from '../../shared/lsn.js';
import type { SourceState } from './source-state.js';

/**
 * Guards that every reconnect meets the WAL the stream was reading. After a failover or a restore the address may
 * lead to a server that lacks what was already delivered, and would silently go on from there.
 */
export class SourceContinuity {
  private known: SourceState | null = null;

  constructor(private readonly slotName: string) {}

  get first(): SourceState {
    if (!this.known) throw new Problem('WRONG_STATE', `the stream of slot "${this.slotName}" has not started`);
    return this.known;
  }

  /** 0 before the first connection. */
  get walSenderTimeoutMs(): number | null {
    return this.known?.walSenderTimeoutMs ?? null;
  }

  /** Takes what the first connection met; called again if that connection did not get as far as streaming. */
  begin(state: SourceState): void {
    this.known = state;
  }

  /** Throws a Problem when the stream cannot go on from `position` there. */
  check(state: SourceState, position: Lsn): void {
    if (state.systemIdentifier !== this.first.systemIdentifier) {
      throw new Problem(
        'PREREQUISITE_FAILED',
        'the address now leads to another cluster: its system identifier differs',
      );
    }
    if (state.flushLsn < position) {
      const [has, had] = [formatLsn(state.flushLsn), formatLsn(position)];
      throw new Problem('PREREQUISITE_FAILED', `the server's WAL ends at ${has} but was streamed up to ${had} before`, {
        hint: 'The server lost WAL (failover or restore). Subscribers may hold what it lost: verify them.',
      });
    }
    if (state.slotConfirmed > position) {
      const [slot, had] = [formatLsn(state.slotConfirmed), formatLsn(position)];
      throw new Problem('PREREQUISITE_FAILED', `the slot moved to ${slot}, past ${had} where this stream stopped`, {
        hint: 'Another reader or pg_replication_slot_advance confirmed transactions this stream never saw.',
      });
    }
  }
}
