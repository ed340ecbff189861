import { createHash, randomBytes, randomInt, randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Content, Effect, RowState, Subject } from './checked-rows.js';

/** What a transaction may use: its connection, the writer's name, and the rows that writer owns. */
export interface Scene {
  client: pg.Client;
  source: string;
  /** Number of this write among the writer's; unique per source. */
  n: number;
  counts: { customers: number; products: number; accounts: number };
  owned(subject: Subject): RowState[];
}

/** Runs the statements of one transaction, between BEGIN and COMMIT, and says what they will have done. */
export type Transaction = (scene: Scene) => Promise<Effect>;

/** Beyond this many rows of a kind a writer changes and deletes its rows rather than adding more. */
const ENOUGH = 60;

/** Kinds of transactions and how often each comes up. */
export const MIX: Record<string, { weight: number; run: Transaction }> = {
  order: { weight: 22, run: placeOrder },
  'order-change': { weight: 14, run: changeOrder },
  document: { weight: 12, run: changeDocument },
  product: { weight: 12, run: changeProduct },
  cart: { weight: 12, run: changeCart },
  event: { weight: 12, run: changeEvent },
  savepoint: { weight: 8, run: rollBackToSavepoint },
  ticket: { weight: 4, run: drawTicket },
  bulk: { weight: 4, run: measure },
};

async function placeOrder(scene: Scene): Promise<Effect> {
  const { client, source, counts } = scene;
  const placedAt = someDay();
  const order = await client.query<{ id: string }>(
    `insert into sales.orders (placed_at, customer_id, channel) select $1, id, $2 from sales.customer
     where id >= $3 order by id limit 1 returning id::text`,
    [placedAt, source, randomInt(1, counts.customers + 1)],
  );
  const id = order.rows[0]!.id;
  const lines = Array.from({ length: randomInt(1, 5) }, () => ({
    quantity: randomInt(1, 9),
    cents: randomInt(1, 9999),
  }));
  await client.query(
    `insert into sales.order_line (order_id, placed_at, line_no, product_id, quantity, unit_price)
     select $1, $2, line, $3, quantity, cents / 100.0
     from unnest($4::smallint[], $5::integer[]) with ordinality as l(quantity, cents, line)`,
    [id, placedAt, randomInt(1, counts.products + 1), lines.map((l) => l.quantity), lines.map((l) => l.cents)],
  );
  const total = lines.reduce((sum, line) => sum + line.quantity * line.cents, 0);
  const rows: RowState[] = [{ subject: 'order', key: id, content: ['open', String(lines.length), money(total)] }];
  if (scene.n % 3 === 0) {
    const payment = randomUUID();
    const receipt = scene.n % 2 === 0 ? randomBytes(24) : null;
    await client.query(
      `insert into sales.payment (id, order_id, placed_at, method, amount, receipt) values ($1, $2, $3, 'transfer', $4, $5)`,
      [payment, id, placedAt, money(total), receipt],
    );
    rows.push({
      subject: 'payment',
      key: payment,
      content: ['transfer', money(total), receipt?.toString('hex') ?? null],
    });
  }
  return { rows, transfers: await transfer(scene, total) };
}

async function changeOrder(scene: Scene): Promise<Effect> {
  const order = pick(scene.owned('order'));
  if (!order) return placeOrder(scene);
  const [, lines, total] = order.content!;
  const status = ['paid', 'shipped', 'closed'][scene.n % 3]!;
  await one(scene.client, `update sales.orders set status = $2, note = $3 where id = $1`, [
    order.key,
    status,
    randomText(40),
  ]);
  const added = await scene.client.query<{ cents: string }>(
    `update sales.order_line set quantity = quantity + 1 where order_id = $1 and line_no = 1 returning (unit_price * 100)::bigint::text as cents`,
    [order.key],
  );
  const cents = Number(added.rows[0]!.cents);
  const content = [status, lines!, money(Math.round(Number(total) * 100) + cents)];
  return { rows: [{ ...order, content }], transfers: await transfer(scene, cents) };
}

/** New documents, titles changed while the long body stays where it is, bodies rewritten, keys changed. */
async function changeDocument(scene: Scene): Promise<Effect> {
  const { client, source, n } = scene;
  const owned = scene.owned('document');
  const document = n % 4 > 0 || owned.length > ENOUGH ? pick(owned) : undefined;
  if (!document) {
    const [id, title, body] = [randomUUID(), `Title ${n}`, randomText(randomInt(2500, 6000))];
    await client.query(`insert into catalog.document (id, author, title, body) values ($1, $2, $3, $4)`, [
      id,
      source,
      title,
      body,
    ]);
    return effect({ subject: 'document', key: id, content: [title, '1', md5(body)] });
  }
  const { key } = document;
  const [title, version, hash] = document.content as string[];
  const next = String(Number(version) + 1);
  switch (n % 8) {
    case 1: {
      const body = randomText(randomInt(2500, 6000));
      await one(client, `update catalog.document set body = $2, version = $3 where id = $1`, [key, body, next]);
      return effect({ ...document, content: [title!, next, md5(body)] });
    }
    case 2: {
      const id = randomUUID();
      await one(client, `update catalog.document set id = $2, version = $3 where id = $1`, [key, id, next]);
      const moved: RowState = { subject: 'document', key: id, content: [title!, next, hash!] };
      return effect({ ...document, content: null }, moved);
    }
    default: {
      const renamed = `Title ${n} of ${source}`;
      await one(client, `update catalog.document set title = $2, version = $3 where id = $1`, [key, renamed, next]);
      return effect({ ...document, content: [renamed, next, hash!] });
    }
  }
}

/** jsonb and array updates on a table whose triggers write too. */
async function changeProduct(scene: Scene): Promise<Effect> {
  const { client, source, n } = scene;
  const owned = scene.owned('product');
  const product = n % 3 > 0 || owned.length > ENOUGH ? pick(owned) : undefined;
  if (!product) {
    const sku = `${source}/${n}`;
    await client.query(
      `insert into catalog.product (sku, name, tags, attributes, price) values ($1, $2, array['new'], '{"revision": 0}', 1.5)`,
      [sku, `Gadget ${n}`],
    );
    return effect({ subject: 'product', key: sku, content: ['0', 'new', `gadget ${n}`, '1.5000'] });
  }
  const [revision, tags, name, price] = product.content as string[];
  if (n % 11 === 0) {
    await one(client, `delete from catalog.product where sku = $1`, [product.key]);
    return effect({ ...product, content: null });
  }
  await one(
    client,
    `update catalog.product set tags = tags || $2::text, attributes = jsonb_set(attributes, '{revision}', to_jsonb($3::integer)) where sku = $1`,
    [product.key, `t${n}`, Number(revision) + 1],
  );
  return effect({ ...product, content: [String(Number(revision) + 1), `${tags},t${n}`, name!, price!] });
}

/** Composite key: rows added, renamed, deleted, and deleted and inserted again in one transaction. */
async function changeCart(scene: Scene): Promise<Effect> {
  const { client, source, n } = scene;
  const owned = scene.owned('cart');
  const cart = n % 3 > 0 || owned.length > ENOUGH ? pick(owned) : undefined;
  const insert = async (name: string, quantity: number, note: string | null): Promise<RowState> => {
    await client.query(`insert into app.cart (owner, name, quantity, note) values ($1, $2, $3, $4)`, [
      source,
      name,
      quantity,
      note,
    ]);
    return { subject: 'cart', key: name, content: [String(quantity), note] };
  };
  if (!cart) return effect(await insert(`cart ${n}`, 1, n % 2 ? null : ''));
  if (n % 5 === 0) {
    await one(client, `update app.cart set name = $3 where owner = $1 and name = $2`, [source, cart.key, `cart ${n}`]);
    return effect({ ...cart, content: null }, { ...cart, key: `cart ${n}` });
  }
  await one(client, `delete from app.cart where owner = $1 and name = $2`, [source, cart.key]);
  return effect(n % 5 === 1 ? { ...cart, content: null } : await insert(cart.key, n, `again ${n} `));
}

/** The table without a key. */
async function changeEvent(scene: Scene): Promise<Effect> {
  const { client, source, n } = scene;
  const owned = scene.owned('event');
  const event = n % 3 > 0 || owned.length > ENOUGH ? pick(owned) : undefined;
  if (!event) {
    const message = n % 2 ? `event ${n}` : null;
    await client.query(`insert into app.event_log values ($1, $2, clock_timestamp(), $3, $4)`, [
      source,
      n,
      message,
      n % 8,
    ]);
    return effect({ subject: 'event', key: String(n), content: [message, String(n % 8)] });
  }
  if (n % 4 === 0) {
    await one(client, `delete from app.event_log where source = $1 and n = $2`, [source, event.key]);
    return effect({ ...event, content: null });
  }
  const content: Content = [`changed ${n}`, event.content![1]!];
  await one(client, `update app.event_log set message = $3 where source = $1 and n = $2`, [
    source,
    event.key,
    content[0],
  ]);
  return effect({ ...event, content });
}

/** Part of the work is rolled back inside the transaction and must never be seen anywhere. */
async function rollBackToSavepoint(scene: Scene): Promise<Effect> {
  const { client, source, n } = scene;
  await client.query('savepoint mistake');
  await client.query(`insert into app.cart values ($1, $2, 1, 'never committed')`, [source, `ghost ${n}`]);
  await client.query(`update app.account set balance = balance + 1000000 where id = $1`, [
    randomInt(1, scene.counts.accounts + 1),
  ]);
  await client.query('rollback to savepoint mistake');
  const kept = await changeCart(scene);
  await client.query('savepoint kept');
  const transfers = await transfer(scene, randomInt(1, 5000));
  await client.query('release savepoint kept');
  return { rows: kept.rows, transfers };
}

/** Sequences: a descending one gives the key, and a handful of others move along. */
async function drawTicket(scene: Scene): Promise<Effect> {
  const counter = String((scene.n % 25) * 5 + 3).padStart(3, '0');
  const ticket = await scene.client.query<{ id: number }>(
    `insert into app.ticket (holder) select $1 from nextval('app.counter_${counter}') returning id`,
    [scene.source],
  );
  return effect({ subject: 'ticket', key: String(ticket.rows[0]!.id), content: [] });
}

/** Many rows at once, and older ones moved to another partition or deleted. */
async function measure(scene: Scene): Promise<Effect> {
  const { client, source, n } = scene;
  const owned = scene.owned('measurement');
  const rows: RowState[] = [];
  if (owned.length > 10 * ENOUGH) {
    const old = owned.slice(0, 3 * ENOUGH).map((row) => row.key);
    await client.query(`delete from app.measurement where source = $1 and n = any($2)`, [source, old]);
    rows.push(...old.map((key): RowState => ({ subject: 'measurement', key, content: null })));
  } else if (owned.length > 0 && n % 2) {
    const moved = pick(owned)!;
    const seconds = Math.floor(someDay().getTime() / 1000);
    await one(client, `update app.measurement set taken_at = to_timestamp($3) where source = $1 and n = $2`, [
      source,
      moved.key,
      seconds,
    ]);
    rows.push({ ...moved, content: [String(seconds), moved.content![1]!] });
  }
  const seconds = Math.floor(someDay().getTime() / 1000);
  const size = randomInt(20, 100);
  await client.query(
    `insert into app.measurement select $1, $2::bigint * 1000 + i, to_timestamp($3), i + 0.25 from generate_series(1, $4) i`,
    [source, n, seconds, size],
  );
  for (let i = 1; i <= size; i++) {
    rows.push({ subject: 'measurement', key: String(n * 1000 + i), content: [String(seconds), `${i}.25`] });
  }
  return { rows, transfers: [] };
}

/** Moves money between two accounts, the lower id first so that two transfers never wait for each other in a circle. */
async function transfer(scene: Scene, cents: number): Promise<Effect['transfers']> {
  const from = randomInt(1, scene.counts.accounts + 1);
  const to = (from % scene.counts.accounts) + 1;
  const transfers = [
    { account: from, cents: -cents },
    { account: to, cents },
  ].sort((a, b) => a.account - b.account);
  for (const { account, cents: delta } of transfers) {
    await one(scene.client, `update app.account set balance = balance + $2, version = version + 1 where id = $1`, [
      account,
      money(delta),
    ]);
  }
  return transfers;
}

/** A change of a row the writer owns must find exactly that row; anything else is a lost or doubled write. */
async function one(client: pg.Client, sql: string, parameters: unknown[]): Promise<void> {
  const { rowCount } = await client.query(sql, parameters);
  if (rowCount !== 1)
    throw new OwnRowMissing(`${rowCount ?? 0} rows instead of 1 for ${sql} with ${JSON.stringify(parameters)}`);
}

/** The database does not hold a row the writer was told is committed. */
export class OwnRowMissing extends Error {}

function effect(...rows: RowState[]): Effect {
  return { rows, transfers: [] };
}

function pick<T>(items: T[]): T | undefined {
  return items.length > 0 ? items[randomInt(items.length)] : undefined;
}

function money(cents: number): string {
  return (cents / 100).toFixed(2);
}

/** Some whole second of 2026 or the days after, so that every partition and the default one are written. */
function someDay(): Date {
  return new Date(Date.UTC(2026, 0, 1) + randomInt(372 * 86_400) * 1000);
}

function randomText(length: number): string {
  return randomBytes(Math.ceil(length / 2))
    .toString('hex')
    .slice(0, length);
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}
