import type { BindRequest } from './bind-request.js';
import type { BoundPair } from './bound-pair.js';

/**
 * Takes a publisher snapshot, waits until the subscriber has applied everything in it, takes a subscriber snapshot,
 * and tells exactly which publisher transactions lie between the two. Nothing is paused and nothing is written but
 * an empty logical message on each side.
 *
 * Rejects with a Problem and leaves nothing open:
 * - PREREQUISITE_FAILED, `stalledAt` (an LSN or null): the subscription is disabled, has no worker, keeps failing,
 *   or did not move within the deadline; `blockers`: sessions that keep the publisher's snapshot undecidable.
 * - SERVER_TIMEOUT: the subscription moves but did not catch up within the deadline.
 * - LIMIT_REACHED (retryable): more was written between the snapshots than may be recorded.
 * - SERVER_PRIVILEGE_MISSING: the login may not read replication origin progress, or not lock a table.
 * - whatever ended a stream that the bind depends on.
 */
export declare function bindPair(request: BindRequest): Promise<BoundPair>;
