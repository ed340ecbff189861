import type { MessageEvent } from '@nestjs/common';
import { Observable } from 'rxjs';
import { isFinished, type OperationsService } from './operations.service.js';

const POLL_MS = 200;
const BATCH = 200;
/** Proxies close silent connections; a comment-like event keeps them open. */
const HEARTBEAT_MS = 15_000;

/**
 * The operation's events after `afterSeq`, live until it has ended and all were sent. Reads the table, so it works on
 * whichever instance the caller reached, and resumes exactly where `Last-Event-ID` says.
 */
export function operationStream(operations: OperationsService, id: string, afterSeq: number): Observable<MessageEvent> {
  return new Observable<MessageEvent>((subscriber) => {
    let seq = afterSeq;
    let timer: NodeJS.Timeout | undefined;
    let lastSent = Date.now();
    const poll = async (): Promise<void> => {
      // Read the state before the events: whatever was appended before the end is then seen.
      const operation = await operations.get(id);
      const events = await operations.eventsAfter(id, seq, BATCH);
      for (const event of events) {
        seq = event.seq;
        subscriber.next({
          id: String(event.seq),
          type: event.type,
          data: { ...event.data, at: event.at.toISOString() },
        });
        lastSent = Date.now();
      }
      if (isFinished(operation) && events.length < BATCH) return subscriber.complete();
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
