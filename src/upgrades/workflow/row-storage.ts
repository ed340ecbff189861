import { ROW_STORAGE } from '../../postgres/catalog/upgrade.sql.js';
import type { Session } from '../../postgres/session.js';
import type { ObjectNames } from '../object-names.js';
import { type Direction, publisherOf, type Side, subscriberOf } from './direction.js';

/** Of a step's context, what is needed here. */
interface Upgrade {
  readonly names: ObjectNames;
  act(side: Side): Promise<Session>;
}

/** ROW_STORAGE of both sides of a link, as one text. */
export async function rowStorage(context: Upgrade, direction: Direction): Promise<string> {
  const { names } = context;
  const publication = direction === 'forward' ? names.publication : names.backPublication;
  const sides = await Promise.all([
    storageOf(context, publisherOf(direction), publication),
    storageOf(context, subscriberOf(direction), null),
  ]);
  return sides.join(' ');
}

async function storageOf(context: Upgrade, side: Side, publication: string | null): Promise<string> {
  const session = await context.act(side);
  return (await session.row<{ storage: string }>(ROW_STORAGE, [publication])).storage;
}
