export type Side = 'source' | 'target';

/** A link of an upgrade: `forward` brings the source's changes to the target, `back` the target's to the source. */
export type Direction = 'forward' | 'back';

/** Where each link's standing is kept, so that any process can go on from there. */
export const FACTS = {
  forward: {
    opened: 'readersOpened',
    verifiedLsn: 'verifiedLsn',
    verdict: 'verdict',
    storage: 'verifiedStorage',
    timelines: 'verifiedTimelines',
  },
  back: {
    opened: 'backReadersOpened',
    verifiedLsn: 'backVerifiedLsn',
    verdict: 'backVerdict',
    storage: 'backVerifiedStorage',
    timelines: 'backVerifiedTimelines',
  },
} as const;

/** The record of the fence on each link's publisher, while there is one. */
export const FENCE = { forward: 'sourceFence', back: 'rollbackFence' } as const;

export function publisherOf(direction: Direction): Side {
  return direction === 'forward' ? 'source' : 'target';
}

export function subscriberOf(direction: Direction): Side {
  return direction === 'forward' ? 'target' : 'source';
}
