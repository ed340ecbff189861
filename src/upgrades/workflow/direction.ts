import type { Side, StepContext } from './step.js';

/** A link of an upgrade: `forward` brings the source's changes to the target, `back` the target's to the source. */
export type Direction = 'forward' | 'back';

/** Where each link's standing is kept, so that any process can go on from there. */
export const FACTS = {
  forward: {
    opened: 'readersOpened',
    verifiedLsn: 'verifiedLsn',
    verdict: 'verdict',
    storage: 'verifiedStorage',
  },
  back: {
    opened: 'backReadersOpened',
    verifiedLsn: 'backVerifiedLsn',
    verdict: 'backVerdict',
    storage: 'backVerifiedStorage',
  },
} as const;

export function publisherOf(direction: Direction): Side {
  return direction === 'forward' ? 'source' : 'target';
}

export function subscriberOf(direction: Direction): Side {
  return direction === 'forward' ? 'target' : 'source';
}

export function readerId({ names }: StepContext, direction: Direction): string {
  return direction === 'forward' ? names.readers : names.backReaders;
}

/** How the readers of the link reach both servers, and what their objects are called. */
export async function endsOf(context: StepContext, direction: Direction) {
  return {
    readerId: readerId(context, direction),
    publisher: await context.connection(publisherOf(direction)),
    subscriber: await context.connection(subscriberOf(direction)),
  };
}
