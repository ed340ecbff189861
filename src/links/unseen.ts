import type { LinkLook } from './link-looks.js';

/** Why no difference found would still not mean that there is none; null: what there is was compared. */
export function unseenOf({ publisher, problem, view }: LinkLook): string | null {
  if (publisher === null) return problem ?? 'the publisher is not known';
  if (publisher.sent.missing.length > 0) {
    return 'a publication is missing, so it is not known which tables it would send';
  }
  const nothing = publisher.sent.tables.length === 0 && view.tables.length === 0;
  return nothing ? 'no table is sent: there is nothing to compare' : null;
}
