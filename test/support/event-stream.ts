import type { Lockstep } from './lockstep.js';

export interface StreamedEvent {
  id: number;
  type: string;
  data: Record<string, unknown>;
}

/** Server-sent events of one request, as a client sees them: read until `enough`, or until the service ends the stream. */
export async function streamedEvents(
  lockstep: Lockstep,
  path: string,
  options: { after?: number; enough?: (events: StreamedEvent[]) => boolean; within?: number } = {},
): Promise<StreamedEvent[]> {
  const leave = new AbortController();
  const response = await fetch(`${lockstep.url}${path}`, {
    headers: {
      Authorization: `Bearer ${lockstep.token}`,
      ...(options.after === undefined ? {} : { 'Last-Event-ID': String(options.after) }),
    },
    signal: AbortSignal.any([leave.signal, AbortSignal.timeout(options.within ?? 30_000)]),
  });
  if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  const events: StreamedEvent[] = [];
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body!) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop()!;
    events.push(...blocks.flatMap(eventOf));
    if (options.enough?.(events)) {
      leave.abort();
      return events;
    }
  }
  return events;
}

function eventOf(block: string): StreamedEvent[] {
  const fields = new Map(
    block
      .split('\n')
      .filter((line) => line.includes(': '))
      .map((line): [string, string] => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]),
  );
  const type = fields.get('event') ?? 'message';
  if (!fields.has('data') || type === 'heartbeat') return [];
  return [{ id: Number(fields.get('id')), type, data: JSON.parse(fields.get('data')!) as Record<string, unknown> }];
}
