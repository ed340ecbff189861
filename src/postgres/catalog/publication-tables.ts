import type { Session } from '../session.js';
import { MISSING_PUBLICATIONS, publicationTablesSql } from './publication-tables.sql.js';
import { variantFor } from './variant.js';

/** What a publisher answers a subscription that asks for the tables of its publications. */
export interface PublicationTables {
  tables: { schema: string; name: string }[];
  /** Names of publications that it does not have. */
  missing: string[];
}

export async function readPublicationTables(
  session: Session,
  publications: readonly string[],
  subscriberVersion: number,
): Promise<PublicationTables> {
  const version = session.versionNum;
  const tables = await session.rows<{ schema: string; name: string }>(
    variantFor(publicationTablesSql(subscriberVersion), version),
    [publications],
  );
  return { tables, missing: await readMissingPublications(session, publications) };
}

/** Those of the names that are no publication of the session's database. */
export async function readMissingPublications(session: Session, publications: readonly string[]): Promise<string[]> {
  const sql = variantFor(MISSING_PUBLICATIONS, session.versionNum);
  return (await session.rows<{ name: string }>(sql, [publications])).map(({ name }) => name);
}
