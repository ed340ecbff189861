import type { WalSenderPositions } from '../postgres/catalog/wal-senders.js';
import { shownApplicationName } from '../shared/application-name.js';
import { type Lsn, parseLsn } from '../shared/lsn.js';

/** What is on its way between a walsender and its reader is less. */
const MOST_UNDER_WAY = 64n * 1024n * 1024n;

/** The walsender that serves a slot, by what its publisher says. */
export interface SeenSender extends WalSenderPositions {
  versionNum: number;
}

/**
 * Whether a slot is read by the apply worker of a certain subscription: its walsender goes by that name, and what it has
 * sent, and is told to be received, closes around what the worker has received in between. A slot has one reader. Of what
 * may not be seen it is not known: false.
 * @param names under which the worker may call itself
 */
export async function isOwnReader(
  names: readonly string[],
  readSender: () => Promise<SeenSender | null>,
  readReceived: () => Promise<string | null>,
): Promise<boolean> {
  const before = await readSender();
  if (before === null || before.writeLsn === null) return false;
  if (!names.some((name) => before.application === shownApplicationName(name, before.versionNum))) return false;
  const received = await readReceived();
  const after = received === null ? null : await readSender();
  if (received === null || after === null || after.pid !== before.pid || after.sentLsn === null) return false;
  const [least, has, most]: Lsn[] = [before.writeLsn, received, after.sentLsn].map(parseLsn);
  return least! <= has! && has! <= most! && most! - least! <= MOST_UNDER_WAY;
}
