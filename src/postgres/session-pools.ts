import { Problem } from '../problems/problem.js';
import type { ConnectionTarget } from './connection.js';
import { SessionPool } from './session-pool.js';

/**
 * The pools of every server and database in use. Each belongs to one revision of the server's connection settings:
 * a change of settings, here or by another instance, replaces its pools at the next use.
 */
export class SessionPools {
  private readonly pools = new Map<string, { revision: string; pool: SessionPool }>();
  private closed = false;

  /** @param revision changes whenever anything in `target` does */
  for(server: string, revision: string, target: ConnectionTarget): SessionPool {
    if (this.closed) throw new Problem('NOT_READY', 'Lockstep is shutting down');
    const key = JSON.stringify([server, target.database]);
    const known = this.pools.get(key);
    if (known?.revision === revision) return known.pool;
    void known?.pool.close();
    const pool = new SessionPool(target);
    this.pools.set(key, { revision, pool });
    return pool;
  }

  /** The server was reached by other means: nobody need wait for a back-off. */
  noteReachable(server: string): void {
    for (const pool of this.poolsOf(server)) pool.forgetFailure();
  }

  /** Ends the sessions of one server; those lent out end when they come back. */
  async closeServer(server: string): Promise<void> {
    const pools = this.poolsOf(server);
    for (const key of this.keysOf(server)) this.pools.delete(key);
    await Promise.all(pools.map((pool) => pool.close()));
  }

  /** For shutdown: nothing can be borrowed afterwards. */
  async close(): Promise<void> {
    this.closed = true;
    const pools = [...this.pools.values()].map(({ pool }) => pool);
    this.pools.clear();
    await Promise.all(pools.map((pool) => pool.close()));
  }

  private keysOf(server: string): string[] {
    return [...this.pools.keys()].filter((key) => (JSON.parse(key) as string[])[0] === server);
  }

  private poolsOf(server: string): SessionPool[] {
    return this.keysOf(server).map((key) => this.pools.get(key)!.pool);
  }
}
