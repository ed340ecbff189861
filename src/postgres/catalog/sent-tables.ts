import type { Session } from '../session.js';
import { readPublicationTables } from './publication-tables.js';
import { readOperationsOf } from './publications.js';
import { type BrokenIdentity, readTablesPublishedBy } from './published-tables.js';
import { readTablesFingerprint } from './table-definitions.js';
import { readRulesFingerprint } from './table-rules.js';
import type { TableName } from './tables.js';

/** A table that a publisher sends a subscription, by all publications that name it together. */
export interface SentTable extends TableName {
  /** In the table's order, of all publications. */
  columns: string[];
  /** What each publication sends, where that is not the same: a walsender refuses such a table. Else empty. */
  unlike: { publication: string; columns: string[] }[];
  /** Every publication of it has a row filter: some rows may not be sent. */
  filtered: boolean;
  /** UPDATEs or DELETEs are sent. */
  identified: boolean;
  /** The columns that tell an updated or deleted row. */
  identityColumns: string[];
  /** The table, or those of its partitions, whose UPDATEs and DELETEs fail on the publisher. */
  broken: BrokenIdentity[];
}

export interface SentTables {
  tables: SentTable[];
  /** Names of publications that the publisher does not have. */
  missing: string[];
}

/** What the publications send a subscriber of that version: with partitions or roots, lists and identities as they are. */
export async function readSentTables(
  session: Session,
  publications: readonly string[],
  subscriberVersion: number,
): Promise<SentTables> {
  const { tables, missing } = await readPublicationTables(session, publications, subscriberVersion);
  const sent = new Map<string, SentTable>(
    tables.map(({ schema, name }) => [
      keyOf({ schema, name }),
      { schema, name, columns: [], unlike: [], filtered: true, identified: false, identityColumns: [], broken: [] },
    ]),
  );
  const lists = new Map<string, SentTable['unlike']>([...sent.keys()].map((key) => [key, []]));
  const operations = await readOperationsOf(session, publications);
  const publishedBy = await readTablesPublishedBy(session, publications);
  for (const publication of publications) {
    const identified =
      operations.get(publication)?.some((operation) => operation === 'update' || operation === 'delete') ?? false;
    for (const published of publishedBy.get(publication) ?? []) {
      const table = sent.get(keyOf(published));
      if (!table) continue;
      lists.get(keyOf(published))!.push({ publication, columns: published.columns });
      if (published.where === null) table.filtered = false;
      table.columns = [...new Set([...table.columns, ...published.columns])];
      if (!identified) continue;
      table.identified = true;
      table.identityColumns = [...new Set([...table.identityColumns, ...published.identityColumns])];
      table.broken.push(...published.broken);
    }
  }
  for (const [key, table] of sent) {
    // The union holds every list, so one of its length is the same.
    const alike = lists.get(key)!.every(({ columns }) => columns.length === table.columns.length);
    if (!alike) table.unlike = lists.get(key)!;
  }
  return { tables: [...sent.values()], missing };
}

/** The tables that are sent, and those that are subscribed to, with a hash over their definitions on the publisher. */
export interface SentFingerprint {
  sent: SentTables;
  names: TableName[];
  /** Null: none of them is there. */
  definitions: string | null;
  /** Over what else holds or changes their rows. Null: nothing does. */
  rules: string | null;
}

/** All that a comparison goes by on the publisher, without reading the definitions here. @param roles as for the rules */
export async function readSentFingerprint(
  session: Session,
  publications: readonly string[],
  subscriberVersion: number,
  subscribed: readonly TableName[],
  roles: readonly string[] = [],
): Promise<SentFingerprint> {
  const sent = await readSentTables(session, publications, subscriberVersion);
  const both = [...sent.tables, ...subscribed].map(({ schema, name }) => ({ schema, name }));
  const names = [...new Map(both.map((table) => [keyOf(table), table])).values()];
  const definitions = await readTablesFingerprint(session, names);
  return { sent, names, definitions, rules: await readRulesFingerprint(session, names, roles) };
}

function keyOf({ schema, name }: TableName): string {
  return JSON.stringify([schema, name]);
}
