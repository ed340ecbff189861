import { AsyncLocalStorage } from 'node:async_hooks';

/** Who is calling: the token a request carried. */
export interface Actor {
  id: string;
  name: string;
  scope: 'read' | 'operate' | 'admin';
}

/** What is known about the request being served, wherever in the call tree code runs. */
export interface RequestContext {
  readonly requestId: string;
  readonly method: string;
  /** Path and query as they arrived. */
  readonly url: string;
  readonly remoteAddress: string | null;
  /** Null until the guard has accepted a token. */
  actor: Actor | null;
  /** Statements this request ran on managed servers, for its audit event. */
  readonly sql: string[];
  /** Facts about this request for its audit event. */
  readonly details: Record<string, unknown>;
}

const storage = new AsyncLocalStorage<RequestContext>();

export function runInRequest<T>(context: RequestContext, work: () => T): T {
  return storage.run(context, work);
}

/** Undefined outside a request, for example inside a workflow. */
export function currentRequest(): RequestContext | undefined {
  return storage.getStore();
}

/** Runs what outlives the request, such as a workflow, as nobody's: it must not go on in the caller's name. */
export function outsideRequest<T>(work: () => T): T {
  return storage.exit(work);
}
