import pg from 'pg';

/**
 * A session on our own database that ends with its first query that is not answered in time (`query_timeout`): back in
 * the pool, it would let everything that comes after wait behind that query.
 */
export class StateClient extends pg.Client {
  constructor(config?: pg.ClientConfig) {
    super(config);
    const send = this.query.bind(this) as (...query: unknown[]) => unknown;
    this.query = ((...query: unknown[]) => {
      const answer = send(...query);
      if (answer instanceof Promise) answer.catch((error: unknown) => this.endUnanswered(error));
      return answer;
    }) as typeof this.query;
  }

  private endUnanswered(error: unknown): void {
    if (!(error instanceof Error) || error.message !== 'Query read timeout') return;
    (this as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  }
}
