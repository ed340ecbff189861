import type { MessageEvent } from '@nestjs/common';
import { Observable } from 'rxjs';
import { Problem } from '../problems/problem.js';

const POLL_MS = 150;
const BATCH = 200;
/** Proxies close silent connections; an event now and then keeps them open. */
const HEARTBEAT_MS = 15_000;

export interface EventSource {
  /** Sequence number of the last event the client has seen. */
  after: number;
  /** Events past `seq`, in order. */
  read(seq: number, limit: number): Promise<{ seq: number; type: string; data: Record<string, unknown>; at: Date }[]>;
  /** True once nothing more will be appended. */
  ended(): Promise<boolean>;
}

/**
 * Stored events as server-sent events, live until their subject has ended and all were sent. Reads tables, so it works
 * on whichever instance the caller reached, and resumes exactly where `Last-Event-ID` says.
 */
export function eventStream(source: EventSource): Observable<MessageEvent> {
  return new Observable<MessageEvent>((subscriber) => {
    let seq = source.after;
    let timer: NodeJS.Timeout | undefined;
    let lastSent = Date.now();
    const poll = async (): Promise<void> => {
      // Asked before the events are read: whatever was appended before the end is then seen.
      const ended = await source.ended();
      const events = await source.read(seq, BATCH);
      for (const event of events) {
        seq = event.seq;
        subscriber.next({
          id: String(event.seq),
          type: event.type,
          data: { ...event.data, at: event.at.toISOString() },
        });
        lastSent = Date.now();
      }
      if (ended && events.length < BATCH) return subscriber.complete();
      if (Date.now() - lastSent > HEARTBEAT_MS) {
        subscriber.next({ type: 'heartbeat', data: {} });
        lastSent = Date.now();
      }
      if (!subscriber.closed) timer = setTimeout(next, events.length === BATCH ? 0 : POLL_MS);
    };
    const next = (): void => {
      poll().catch((error: unknown) => subscriber.error(error));
    };
    next();
    return () => clearTimeout(timer);
  });
}

/** The `Last-Event-ID` header as a sequence number; 0 without one. */
export function lastEventId(header: string | undefined): number {
  if (header === undefined || header === '') return 0;
  const seq = /^\d{1,15}$/.test(header) ? Number(header) : NaN;
  if (Number.isSafeInteger(seq)) return seq;
  throw new Problem('INVALID_INPUT', 'Last-Event-ID is not a sequence number of this stream', {
    errors: [{ pointer: 'header:Last-Event-ID', detail: 'must be a whole number' }],
  });
}
