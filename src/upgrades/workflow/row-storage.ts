import { ROW_STORAGE } from '../../postgres/catalog/upgrade.sql.js';
import { type Direction, publisherOf, subscriberOf } from './direction.js';
import type { Side, StepContext } from './step.js';

export const REWRITTEN =
  'since it was verified a table was rewritten, made anew, attached, detached or published otherwise, which no change stream shows';

/** ROW_STORAGE of both sides of a link, as one text. */
export async function rowStorage(context: StepContext, direction: Direction): Promise<string> {
  const { names } = context;
  const publication = direction === 'forward' ? names.publication : names.backPublication;
  const sides = await Promise.all([
    storageOf(context, publisherOf(direction), publication),
    storageOf(context, subscriberOf(direction), null),
  ]);
  return sides.join(' ');
}

async function storageOf(context: StepContext, side: Side, publication: string | null): Promise<string> {
  const session = await context.act(side);
  return (await session.row<{ storage: string }>(ROW_STORAGE, [publication])).storage;
}
