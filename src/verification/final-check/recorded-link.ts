import { withSession } from '../../postgres/session.js';
import type { Lsn } from '../../shared/lsn.js';
import { readSubscription } from '../at-rest/read-shapes.js';
import { currentTables } from '../at-rest/verify-link.js';
import { LinkReaders, type OpenLinkReaders } from '../link/link-readers.js';
import { TouchedKeys } from './touched-keys.js';

export interface RecordedLink {
  readers: LinkReaders;
  touched: TouchedKeys;
}

/**
 * Opens a link's readers so that everything since `verified` (the LSN of the last verification, kept by the caller;
 * null: none yet) is recorded, also what an earlier process had read but not confirmed. After each verification:
 * `touched.reset(lsn)`, persist the LSN, then `readers.confirm(lsn)`. Open it before the first verification.
 */
export async function openRecordedLink(
  request: Omit<OpenLinkReaders, 'confirm' | 'onPublisherTransaction' | 'onSubscriberTransaction'>,
  verified: Lsn | null,
): Promise<RecordedLink> {
  const { oid } = await withSession(request.subscriber, { purpose: 'verification' }, (session) =>
    readSubscription(session, request.subscription),
  );
  const { comparable } = await currentTables(request, request.subscription);
  const touched = new TouchedKeys(comparable, `pg_${oid}`);
  if (verified !== null) touched.reset(verified);
  const readers = await LinkReaders.open({
    ...request,
    confirm: 'by-caller',
    onPublisherTransaction: (transaction) => touched.record(transaction),
    onSubscriberTransaction: (transaction) => touched.recordApplied(transaction),
  });
  return { readers, touched };
}
