import type { Session } from '../session.js';
import { INSTANCE } from './instance.sql.js';
import { variantFor } from './variant.js';

/** A running server. */
export interface Instance {
  standby: boolean;
  /** When it was started: the same server, by whatever address, says the same. */
  started: string;
}

export function readInstance(session: Session): Promise<Instance> {
  return session.row(variantFor(INSTANCE, session.versionNum));
}
