import { readPublications } from '../postgres/catalog/publications.js';
import type { ReplicationSlot } from '../postgres/catalog/replication-slots.js';
import { readSubscriptions } from '../postgres/catalog/subscriptions.js';
import { readUnapplied, type UnappliedEnd } from '../postgres/replication/read-unapplied.js';
import type { SummarizedTable } from '../postgres/replication/transaction-summary.js';
import { Problem } from '../problems/problem.js';
import type { ServersService } from '../servers/servers.service.js';
import { formatLsn, type Lsn, parseLsn } from '../shared/lsn.js';
import type { SlotOwner } from './slot-owners.js';

const MOST_BYTES = 256 * 1024 * 1024;
const MOST_TRANSACTIONS = 100_000;
const MOST_TABLES = 1_000;
const DEADLINE_MS = 20_000;
const ASK_MS = 4_000;

/** What a slot would never send once it is advanced. */
export interface SkippedChanges {
  fromLsn: string;
  toLsn: string;
  /** WAL between the two, of all databases. */
  walBytes: number;
  /** Whose streams were read; null: none was, and `reason` says why. */
  publications: string[] | null;
  /** Committed ones that change something of them; null: not known. */
  transactions: number | null;
  /** Their changes; null: not known. */
  changes: number | null;
  /** By schema and name. */
  tables: SummarizedTable[];
  /** The reading ended at a bound: there is more than was counted. */
  truncated: boolean;
  reason: string | null;
}

/** What lies between the slot's place and `lsn`, by a temporary copy of it that is read in its stead. */
export async function previewAdvance(
  servers: ServersService,
  server: string,
  slot: ReplicationSlot,
  owner: SlotOwner | null,
  lsn: Lsn,
): Promise<SkippedChanges> {
  const from = parseLsn((slot.confirmedFlushLsn ?? slot.restartLsn)!);
  // The server goes no further than the end of its WAL.
  const walEnd = slot.currentLsn === null ? lsn : parseLsn(slot.currentLsn);
  const to = lsn < walEnd ? lsn : walEnd;
  const range = { fromLsn: formatLsn(from), toLsn: formatLsn(to), walBytes: Number(to - from) };
  const unknown = (reason: string, publications: string[] | null = null): SkippedChanges => ({
    ...{ ...range, publications, transactions: null, changes: null, tables: [], truncated: false, reason },
  });
  if (slot.kind === 'physical') return unknown('a physical slot sends WAL, of which no transactions can be told');
  let publications: string[] | null = null;
  try {
    publications = await publicationsOf(servers, server, slot, owner);
    if (publications.length === 0) return unknown('its database has no publication that could be read', publications);
    const counted = new Counted(lsn);
    const end = await readUnapplied({
      target: await servers.target(server, slot.database!),
      slotName: slot.name,
      ...(slot.plugin === 'pgoutput' ? {} : { plugin: 'pgoutput' }),
      ...{ publications, origin: 'any', position: from, until: lsn },
      ...{ mostChanges: 0, mostBytes: MOST_BYTES, deadlineMs: DEADLINE_MS },
      onTransaction: (transaction) => counted.add(transaction),
    });
    const bound = counted.isFull ? `${MOST_TRANSACTIONS} transactions` : BOUNDS[end];
    const { transactions, changes } = counted;
    const reason = [
      ...(bound === null ? [] : [`the reading ended after ${bound}: at least that much is skipped`]),
      ...(counted.tablesLeftOut ? [`only the first ${MOST_TABLES} tables are told`] : []),
    ];
    return {
      ...{ ...range, publications, transactions, changes, tables: counted.tables() },
      ...{ truncated: reason.length > 0, reason: reason.length > 0 ? reason.join('; ') : null },
    };
  } catch (error) {
    // The slot is advanced all the same: what keeps us from looking keeps nobody from that.
    if (!(error instanceof Problem) || error.code === 'INTERNAL') throw error;
    const hint = error.code === 'SERVER_PRIVILEGE_MISSING' ? '; the login needs: alter role … replication' : '';
    return unknown(`the stream could not be read: ${error.detail}${hint}`, publications);
  }
}

const BOUNDS: Record<UnappliedEnd, string | null> = {
  found: null,
  end: null,
  bytes: '256 MiB of the stream',
  deadline: '20 s',
};

/** Those that the owner is subscribed to; of a slot without one, all of its database. */
async function publicationsOf(
  servers: ServersService,
  server: string,
  { database }: ReplicationSlot,
  owner: SlotOwner | null,
): Promise<string[]> {
  if (owner?.kind === 'subscription' && owner.live && owner.server !== null && owner.database !== null) {
    const { name } = owner;
    const reading = servers.look(owner.server, owner.database, ASK_MS, (session) => readSubscriptions(session, name));
    const [subscription] = await reading.catch(() => []);
    if (subscription) return subscription.publications;
  }
  const all = await servers.withSession(server, database!, (session) => readPublications(session));
  return all.map(({ name }) => name);
}

/** Counts in space that is bounded by the number of tables. */
class Counted {
  private readonly byTable = new Map<string, SummarizedTable>();
  tablesLeftOut = false;
  isFull = false;
  transactions = 0;
  changes = 0;

  constructor(private readonly lsn: Lsn) {}

  /** True: it is past the place, or enough was read. A slot sends what commits at its place or later. */
  add(transaction: { finishLsn: Lsn; changeCount: number; tables: readonly SummarizedTable[] }): boolean {
    if (transaction.finishLsn >= this.lsn) return true;
    this.transactions++;
    this.changes += transaction.changeCount;
    for (const { schema, name, ...counts } of transaction.tables) this.addTable(schema, name, counts);
    this.isFull = this.transactions >= MOST_TRANSACTIONS;
    return this.isFull;
  }

  tables(): SummarizedTable[] {
    return [...this.byTable.values()].sort((one, other) => {
      const [a, b] = [JSON.stringify([one.schema, one.name]), JSON.stringify([other.schema, other.name])];
      return a < b ? -1 : a > b ? 1 : 0;
    });
  }

  private addTable(schema: string, name: string, counts: Omit<SummarizedTable, 'schema' | 'name'>): void {
    const key = JSON.stringify([schema, name]);
    const table = this.byTable.get(key) ?? { schema, name, inserts: 0, updates: 0, deletes: 0, truncates: 0 };
    if (!this.byTable.has(key) && this.byTable.size >= MOST_TABLES) {
      this.tablesLeftOut = true;
      return;
    }
    table.inserts += counts.inserts;
    table.updates += counts.updates;
    table.deletes += counts.deletes;
    table.truncates += counts.truncates;
    this.byTable.set(key, table);
  }
}
