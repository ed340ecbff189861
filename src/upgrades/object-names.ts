/** Names of what one upgrade creates on its servers. `back` is the way back, from target to source. */
export interface ObjectNames {
  publication: string;
  slot: string;
  subscription: string;
  backPublication: string;
  backSlot: string;
  backSubscription: string;
  markerTable: string;
  /** Given to the readers that verify; they derive the names of their own slots from it. */
  readers: string;
  /** The same for the readers of the way back, while it is rolled back. */
  backReaders: string;
}

/** Schema of everything Lockstep keeps on a managed server. */
export const LOCKSTEP_SCHEMA = 'lockstep';

export function objectNames(shortId: string): ObjectNames {
  const name = `lockstep_${shortId}`;
  return {
    publication: name,
    slot: name,
    subscription: name,
    backPublication: `${name}_back`,
    backSlot: `${name}_back`,
    backSubscription: `${name}_back`,
    markerTable: `marker_${shortId}`,
    readers: shortId,
    backReaders: `${shortId}_back`,
  };
}
