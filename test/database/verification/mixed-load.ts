import { Session } from '../../../src/postgres/session.js';
import type { TestServer } from '../../support/postgres-fleet.js';

/** Writers that do, in small transactions, everything that is hard to follow: until `stop`. */
export class MixedLoad {
  private running = true;
  transactions = 0;

  private constructor(private readonly writers: Promise<void>[]) {}

  static start(server: TestServer, database: string, writers = 3): MixedLoad {
    const load: MixedLoad = new MixedLoad([]);
    for (let writer = 0; writer < writers; writer++) load.writers.push(load.write(server, database, writer, writers));
    return load;
  }

  /** Ends after the transactions at hand; rejects with what broke a writer. */
  async stop(): Promise<void> {
    this.running = false;
    await Promise.all(this.writers);
  }

  private async write(server: TestServer, database: string, writer: number, writers: number): Promise<void> {
    const session = await Session.open(server.target(database), { purpose: 'load' });
    try {
      for (let turn = 0; this.running; turn++) {
        await session.execute(transactionOf(turn, writer, writers));
        this.transactions++;
      }
    } finally {
      await session.close();
    }
  }
}

/** Keys up to this are left alone, for tests that plant differences there. */
const SPARED = 20;

/** Writers keep to keys of their own (by remainder), so that no transaction waits long or fails. */
function transactionOf(turn: number, writer: number, writers: number): string {
  const pick = (below: number) =>
    `(${Math.floor(Math.random() * Math.floor(below / writers)) * writers + writer + SPARED + 1})`;
  const id = pick(2000);
  switch (turn % 12) {
    case 0: // leaves the out-of-line document unchanged
      return `update sales.orders set note = 'seen ${turn}', placed_at = clock_timestamp() where id = ${id}`;
    case 1: // a key change with an unchanged document, there and back
      return `begin; update sales.orders set id = id + 1000000 where id = ${id}; update sales.orders set customer = ${turn} where id = ${id} + 1000000; commit;
              begin; update sales.orders set id = id - 1000000 where id = ${id} + 1000000; commit`;
    case 2:
      return `begin; delete from sales.items where order_id = ${pick(800)} and line = 2; insert into sales.items values (${900 + writer}, ${turn}, 'new', ${turn}.50); commit`;
    case 3: // delete and insert again in one transaction
      return `begin; with gone as (delete from sales.orders where id = ${id} returning *)
              insert into sales.orders (id, customer, state, total, note, document, attributes)
              select id, customer, 'paid', total, null, document || 'x', attributes from gone; commit`;
    case 4:
      return `begin; update sales.orders set note = 'kept' where id = ${id}; savepoint a; update sales.orders set note = 'undone', document = 'undone' where id = ${id};
              insert into sales.full_keyless values (1, 'undone', null); rollback to a; update sales.orders set weight = '-0' where id = ${id}; commit`;
    case 5:
      return `update sales.full_keyless set b = 'z${turn % 5}', at = null where ctid = (select ctid from sales.full_keyless where a < 15 and a % ${writers} = ${writer} limit 1 offset ${turn % 20})`;
    case 6:
      return `begin; insert into sales.full_keyless values (${writer + writers * (turn % 4)}, 'x', now()), (${writer + writers * (turn % 4)}, 'x', now());
              delete from sales.full_keyless where ctid = (select ctid from sales.full_keyless where a < 15 and a % ${writers} = ${writer} limit 1); commit`;
    case 7:
      return `insert into sales.insert_only values (${turn}, null), (${turn}, '')`;
    case 8: // moves a row to another partition, and back another time
      return `update sales.measured set day = case when day < '2021-01-01' then day + 366 else day - 366 end, value = value + 1 where id = ${pick(1000)}`;
    case 9:
      return `update sales.by_index set region = region || 'q' where code = 'c' || ${pick(500)} and length(region) < 20`;
    case 10:
      return `update sales.full_keyed set note = 'f${turn}' where id = md5(${pick(300)}::text)::uuid`;
    default: // rolled back as a whole
      return `begin; update sales.orders set document = 'gone' where id = ${id}; rollback;
              update sales.orders set document = repeat(md5(random()::text), 80), total = 1.50 where id = ${id}`;
  }
}
