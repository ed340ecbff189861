import { ChangeStream } from '../../src/postgres/replication/change-stream.js';
import type { ChangeStreamOptions } from '../../src/postgres/replication/change-stream-options.js';
import { createLogicalSlot } from '../../src/postgres/replication/logical-slot.js';
import type { StreamedTransaction } from '../../src/postgres/replication/streamed-transaction.js';
import { parseLsn, type Lsn } from '../../src/shared/lsn.js';
import type { TestServer } from '../support/postgres-fleet.js';

/** A database with a published table, and change streams over one slot of it. */
export class StreamFixture {
  readonly slotName: string;
  private readonly streams: ChangeStream[] = [];

  constructor(
    readonly server: TestServer,
    readonly database: string,
  ) {
    this.slotName = `${database}_slot`;
  }

  async create(): Promise<void> {
    await this.server.freshDatabase(this.database);
    await this.server.run(
      this.database,
      `create table t (id int primary key, v text, big text, n numeric, at timestamptz);
       alter table t alter column big set storage external;
       create table f (a int, b text); alter table f replica identity full;
       create publication "Odd, ""Pub""" for table t, f`,
    );
  }

  /** A started stream; transactions that changed something go to `seen`. */
  async open(options: Partial<ChangeStreamOptions> = {}, seen: StreamedTransaction[] = []) {
    await createLogicalSlot(this.server.target(this.database), this.slotName, { deadlineMs: 20_000 });
    const stream = new ChangeStream({
      target: this.server.target(this.database),
      slotName: this.slotName,
      publications: ['Odd, "Pub"'],
      onTransaction: (transaction) => {
        if (transaction.changes.length > 0) seen.push(transaction);
      },
      ...options,
    });
    this.streams.push(stream);
    await stream.start();
    return { stream, seen };
  }

  run(sql: string): Promise<void> {
    return this.server.run(this.database, sql);
  }

  /** One transaction for each. */
  async insert(...ids: number[]): Promise<void> {
    await this.server.withSession(this.database, async (session) => {
      for (const id of ids) await session.execute(`insert into public.t values (${id})`);
    });
  }

  /** Waits until the stream has handled everything committed so far. */
  async caughtUp(stream: ChangeStream): Promise<void> {
    await stream.waitUntil(await this.flushed(), { timeoutMs: 10_000 });
  }

  /** An LSN that everything committed before lies below, flushed. */
  flushed(): Promise<Lsn> {
    return this.server.withSession(this.database, async (session) => {
      await session.execute('set synchronous_commit = local');
      const { lsn } = await session.row<{ lsn: string }>(
        `select pg_logical_emit_message(true, 'test', '')::text as lsn`,
      );
      return parseLsn(lsn);
    });
  }

  async slot(): Promise<{ confirmed: Lsn; pid: number | null }> {
    return this.server.withSession(this.database, async (session) => {
      const row = await session.row<{ confirmed: string; pid: number | null }>(
        `select confirmed_flush_lsn::text as confirmed, active_pid as pid from pg_replication_slots
          where slot_name = '${this.slotName}'`,
      );
      return { confirmed: parseLsn(row.confirmed), pid: row.pid };
    });
  }

  /** When the server last heard from the stream, and its clock now, in ms; 0 when nothing streams. */
  async heard(): Promise<{ reply: number; now: number }> {
    return this.server.withSession(this.database, async (session) =>
      session.row<{ reply: number; now: number }>(
        `select coalesce((select 1000 * date_part('epoch', r.reply_time) from pg_stat_replication r
           join pg_replication_slots s on s.active_pid = r.pid where s.slot_name = '${this.slotName}'), 0)::float8 as reply,
           (1000 * date_part('epoch', clock_timestamp()))::float8 as now`,
      ),
    );
  }

  async killWalsender(): Promise<void> {
    await this.run(
      `select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '${this.slotName}'`,
    );
  }

  async closeStreams(): Promise<void> {
    await Promise.all(this.streams.splice(0).map((stream) => stream.close()));
  }
}

export function insertedIds(transactions: readonly StreamedTransaction[]): number[] {
  return transactions.flatMap((transaction) =>
    transaction.changes.flatMap((change) => (change.kind === 'insert' ? [Number(change.new[0])] : [])),
  );
}
