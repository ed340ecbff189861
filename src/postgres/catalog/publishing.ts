import type { Session } from '../session.js';
import { PUBLISHING_CHANGES } from './publishing.sql.js';

/** Publications that send updates or deletes of the table, by name. */
export async function readPublishingChanges(session: Session, tableOid: string): Promise<string[]> {
  const rows = await session.rows<{ name: string }>(PUBLISHING_CHANGES, [tableOid]);
  return rows.map(({ name }) => name);
}
