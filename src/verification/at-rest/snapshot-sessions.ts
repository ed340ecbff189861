import type { Session } from '../../postgres/session.js';

/** The two sessions in which one table is compared: each inside its side's snapshot of the bound pair. */
export interface SnapshotSessions {
  publisher: Session;
  subscriber: Session;
}
