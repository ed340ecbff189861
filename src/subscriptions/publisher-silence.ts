import { Problem } from '../problems/problem.js';

const TIMED_OUT = '57014';

/** Where the subscriber reaches the publisher, as far as its connection string tells. */
export interface PublisherAddress {
  /** Its name, where it is registered. */
  server?: string | undefined;
  host?: string | undefined;
  port?: string | undefined;
}

export function ranOutOfTime(error: unknown): error is Problem {
  return error instanceof Problem && error.options.sqlstate === TIMED_OUT;
}

/**
 * ALTER SUBSCRIPTION that ran out of time: it waits for nobody but the publisher for that long, and the server says only
 * that it was cancelled. It is undone as a whole.
 */
export function explainSilentPublisher(error: Problem, subscription: string, publisher: PublisherAddress): Problem {
  const { server, host, port } = publisher;
  const where =
    (server === undefined ? '' : ` ${server}`) + (host === undefined ? '' : ` at ${host}:${port ?? '5432'}`);
  const detail = `the publisher${where} gave the subscriber no answer in time, so subscription ${JSON.stringify(subscription)} was not changed`;
  return new Problem('SERVER_TIMEOUT', `${detail}: ${error.detail}`, {
    ...error.options,
    hint: 'Try again when the publisher answers the subscriber; the way between the two may be cut where that to Lockstep is not.',
    cause: error,
  });
}
