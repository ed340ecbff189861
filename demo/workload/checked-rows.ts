/**
 * What writers own and a ledger can check: for each subject a query that lists the rows of one run as
 * (source, key, content). `source` names the one writer that touches them, so its last acknowledged write decides.
 * `$1` is the pattern of the run's sources.
 */
export const CHECKED_ROWS = {
  order: `
    select o.channel as source, o.id::text as key,
           array[o.status, coalesce(l.lines, 0)::text, coalesce(l.total, 0)::numeric(20, 2)::text] as content
    from sales.orders o
    left join (select order_id, placed_at, count(*) as lines, sum(amount) as total from sales.order_line
               where order_id in (select id from sales.orders where channel like $1) group by 1, 2) l
      on l.order_id = o.id and l.placed_at = o.placed_at
    where o.channel like $1`,
  payment: `
    select o.channel as source, p.id::text as key, array[p.method::text, p.amount::text, encode(p.receipt, 'hex')] as content
    from sales.payment p join sales.orders o on o.id = p.order_id and o.placed_at = p.placed_at
    where o.channel like $1`,
  document: `
    select author as source, id::text as key, array[title, version::text, md5(body)] as content
    from catalog.document where author like $1`,
  product: `
    select split_part(sku, '/', 1) as source, sku as key,
           array[attributes ->> 'revision', array_to_string(tags, ','), search_name, price::text] as content
    from catalog.product where sku like $1 || '/%'`,
  cart: `select owner as source, name as key, array[quantity::text, note] as content from app.cart where owner like $1`,
  event: `select source, n::text as key, array[message, severity::text] as content from app.event_log where source like $1`,
  measurement: `
    select source, n::text as key, array[extract(epoch from taken_at)::bigint::text, value::text] as content
    from app.measurement where source like $1`,
  ticket: `select holder as source, id::text as key, array[]::text[] as content from app.ticket where holder like $1`,
} as const;

export type Subject = keyof typeof CHECKED_ROWS;

export type Content = readonly (string | null)[];

/** A row as an acknowledged write left it; `content` null once it was deleted. */
export interface RowState {
  subject: Subject;
  key: string;
  content: Content | null;
}

/** What one committed transaction did, in checkable form. */
export interface Effect {
  rows: RowState[];
  /** Whole cents added to an account's balance. */
  transfers: { account: number; cents: number }[];
}
