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
  const response = await fetch(`${lockstep.url}${path}`, {
    headers: {
      Authorization: `Bearer ${lockstep.token}`,
      ...(options.after === undefined ? {} : { 'Last-Event-ID': String(options.after) }),
    },
    signal: AbortSignal.timeout(options.within ?? 30_000),
  });
  if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  const events: StreamedEvent[] = [];
  const decoder = new TextDecoder();
  let text = '';
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return events;
    text += decoder.decode(value, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop()!;
    events.push(...blocks.flatMap(eventOf));
    if (options.enough?.(events)) {
      await reader.cancel();
      return events;
    }
  }
}

function eventOf(block: string): StreamedEvent[] {
  const fields = new Map(
    block
      .split('\n')
      .filter((line) => line.includes(': '))
      .map((line): [string, string] => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]),
  );
  const type = fields.get('event') ?? 'message';
  if (!fields.has('data')) return [];
  return [{ id: Number(fields.get('id')), type, data: JSON.parse(fields.get('data')!) as Record<string, unknown> }];
}
