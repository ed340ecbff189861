import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

interface ProblemDocument {
  code?: string;
  detail?: string;
  title?: string;
  hint?: string;
}

/** An answer of Lockstep that is not a success, with its problem document. */
class ApiProblem extends Error {
  constructor(
    readonly status: number,
    readonly document: ProblemDocument,
    request: string,
  ) {
    const { code, detail, title, hint } = document;
    super(`${request}: ${status} ${code ?? ''} ${detail ?? title ?? ''}${hint ? ` (${hint})` : ''}`);
  }
}

interface ServerSentEvent {
  id: string;
  type: string;
  data: Record<string, unknown>;
}

/** The REST API as any client sees it: a base address, a bearer token, JSON. */
export class Api {
  constructor(
    private readonly url: string,
    private readonly token: string,
  ) {}

  async get<T>(path: string): Promise<T> {
    return (await (await this.request('GET', path)).json()) as T;
  }

  async post<T>(path: string, body: unknown): Promise<T> {
    const headers = { 'content-type': 'application/json', 'idempotency-key': randomUUID() };
    return (await (await this.request('POST', path, { headers, body: JSON.stringify(body) })).json()) as T;
  }

  async markdown(path: string): Promise<string> {
    return (await this.request('GET', path, { headers: { accept: 'text/markdown' } })).text();
  }

  /** Follows a stream of events until the signal or the stream ends it; a cut connection is resumed where it broke. */
  async *events(path: string, signal: AbortSignal): AsyncGenerator<ServerSentEvent> {
    let lastId = '';
    while (!signal.aborted) {
      try {
        const headers = { accept: 'text/event-stream', ...(lastId ? { 'last-event-id': lastId } : {}) };
        const answer = await this.request('GET', path, { headers, signal });
        let text = '';
        for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
          const blocks = (text + chunk).split('\n\n');
          text = blocks.pop()!;
          for (const event of blocks.map(parseEvent)) {
            if (!event) continue;
            lastId = event.id || lastId;
            yield event;
          }
        }
        return;
      } catch (error) {
        if (error instanceof ApiProblem) throw error;
      }
      await delay(500, undefined, { signal }).catch(() => undefined);
    }
  }

  private async request(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { authorization: `Bearer ${this.token}`, ...(init.headers as Record<string, string>) };
    const answer = await fetch(this.url + path, { ...init, method, headers });
    if (!answer.ok) {
      const document = (await answer.json().catch(() => ({}))) as ProblemDocument;
      throw new ApiProblem(answer.status, document, `${method} ${path}`);
    }
    return answer;
  }
}

function parseEvent(block: string): ServerSentEvent | null {
  const event = { id: '', type: 'message', data: '' };
  for (const line of block.split('\n')) {
    const [, field, value] = /^(id|event|data): ?(.*)$/.exec(line) ?? [];
    if (field === 'id') event.id = value!;
    else if (field === 'event') event.type = value!;
    else if (field === 'data') event.data += value!;
  }
  if (!event.data) return null;
  return { ...event, data: JSON.parse(event.data) as Record<string, unknown> };
}
