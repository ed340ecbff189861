import type { BoundPair } from '../../postgres/replication/bound-pair.js';
import type { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { type Chunk, type ChunkSize, nextChunks, type Remaining } from './chunk-plan.js';
import type { TableShape } from './table-shape.js';

/** Looks for the chunks of tables in a session of its own inside a pair's snapshot, which a failure leaves alone. */
export class ChunkPlanner {
  private session: Session | null = null;

  constructor(
    private readonly pair: BoundPair,
    private readonly statementDeadlineMs: number,
    private readonly signal: AbortSignal | undefined,
  ) {}

  /** The next chunks, or why the publisher refuses to tell them. Rejects when aborted, or when a server is gone. */
  async next(shape: TableShape, remaining: Remaining, size: ChunkSize): Promise<Chunk[] | string> {
    const session = (this.session ??= await this.open());
    const stop = () => session.destroy();
    this.signal?.addEventListener('abort', stop, { once: true });
    try {
      return await nextChunks(session, shape, remaining, size);
    } catch (error) {
      this.signal?.throwIfAborted();
      await this.close();
      if (!(error instanceof Problem) || error.options.sqlstate === undefined || error.retryable) throw error;
      return error.detail;
    } finally {
      this.signal?.removeEventListener('abort', stop);
    }
  }

  async close(): Promise<void> {
    const { session } = this;
    this.session = null;
    await session?.close();
  }

  private async open(): Promise<Session> {
    const session = await this.pair.publisher.openSession('verification');
    await session.execute(`set local statement_timeout = ${this.statementDeadlineMs}`);
    return session;
  }
}
