import type { Response } from 'express';
import { setTimeout as delay } from 'node:timers/promises';
import { Problem } from '../problems/problem.js';

const POLL_MS = 150;
const BATCH = 200;
/** Proxies close silent connections; a comment now and then keeps them open. */
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
 * Sends stored events as server-sent events, live until their subject has ended and all were sent. Reads tables, so it
 * works on whichever instance the caller reached, and resumes exactly where `Last-Event-ID` says. What can be refused
 * is refused before it is called: from the first byte on the status is 200.
 */
export async function sendEvents(response: Response, source: EventSource): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  response.writeHead(200, {
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-store',
    'X-Accel-Buffering': 'no',
  });
  response.write(': follows\n\n');
  let seq = source.after;
  let lastSent = Date.now();
  try {
    while (!gone.signal.aborted) {
      // Asked before the events are read: whatever was appended before the end is then seen.
      const ended = await source.ended();
      const events = await source.read(seq, BATCH);
      for (const event of events) {
        seq = event.seq;
        const data = JSON.stringify({ ...event.data, at: event.at.toISOString() });
        response.write(`id: ${event.seq}\nevent: ${event.type}\ndata: ${data}\n\n`);
        lastSent = Date.now();
      }
      if (ended && events.length < BATCH) break;
      if (Date.now() - lastSent > HEARTBEAT_MS) {
        response.write(': still here\n\n');
        lastSent = Date.now();
      }
      if (events.length < BATCH) await delay(POLL_MS, undefined, { signal: gone.signal });
    }
    response.end();
  } catch {
    // The client went away, or our own database did: the client reconnects with Last-Event-ID and misses nothing.
    response.destroy();
  }
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
