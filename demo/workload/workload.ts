import pg from 'pg';
import { Ledger } from './ledger.js';
import { demoRoles, type Endpoint } from './schema.js';
import { type Move, Writer, type WriteTo } from './writer.js';

export interface WorkloadOptions {
  writeTo: WriteTo;
  /** How many writers run at once. */
  writers?: number;
  /** Transactions per second of all writers together, as long as the server keeps up. */
  perSecond?: number;
  /** Prefix of the role names the database was loaded with. */
  prefix?: string;
}

export interface WorkloadFigures {
  acknowledged: number;
  failedAttempts: number;
  retried: number;
  longestPauseMs: number;
  acknowledgedSinceMove: number;
  moves: Move[];
  defects: string[];
}

/** Several writers of mixed transactions on a demo database, and the ledger of what they were told is committed. */
export class Workload {
  readonly ledger = new Ledger();
  private writers: Writer[] = [];

  constructor(private readonly options: WorkloadOptions) {}

  /** Starts the writers, or starts them again. */
  async start(): Promise<void> {
    if (this.writers.length === 0) await this.prepare();
    for (const writer of this.writers) writer.start();
  }

  /** Ends the writers after their current write; one that cannot finish within that time stays in doubt. */
  async stop(withinMs = 10_000): Promise<void> {
    await Promise.all(this.writers.map((writer) => writer.stop(withinMs)));
  }

  get figures(): WorkloadFigures {
    const sum = (value: (writer: Writer) => number): number =>
      this.writers.reduce((total, writer) => total + value(writer), 0);
    return {
      acknowledged: this.ledger.acknowledged,
      failedAttempts: sum((writer) => writer.failedAttempts),
      retried: sum((writer) => writer.retried),
      longestPauseMs: Math.max(0, ...this.writers.map((writer) => writer.longestPauseMs)),
      acknowledgedSinceMove: sum((writer) => writer.acknowledgedSinceMove),
      moves: this.writers.flatMap((writer) => writer.moves),
      defects: this.writers.flatMap((writer) => writer.defects),
    };
  }

  private async prepare(): Promise<void> {
    const { writeTo, writers = 4, perSecond = 200, prefix } = this.options;
    const endpoint: Endpoint | null = writeTo();
    if (!endpoint) throw new Error('the writers need a server to begin with');
    const logins = demoRoles(prefix).writers;
    const client = new pg.Client({ ...endpoint, ...logins[0] });
    await client.connect();
    try {
      await this.ledger.open(client);
      const { rows } = await client.query<{ customers: number; products: number; accounts: number }>(
        `select (select count(*)::integer from sales.customer) as customers,
                (select count(*)::integer from catalog.product where sku like 'SKU-%') as products,
                (select count(*)::integer from app.account) as accounts`,
      );
      this.writers = Array.from({ length: writers }, (_, number) => {
        const login = logins[number % logins.length]!;
        const intervalMs = (1000 * writers) / perSecond;
        return new Writer({ number, login, writeTo, ledger: this.ledger, counts: rows[0]!, intervalMs });
      });
    } finally {
      await client.end();
    }
  }
}
