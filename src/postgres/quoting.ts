import { escapeIdentifier, escapeLiteral } from 'pg';

export { escapeLiteral as literal };

/** A quoted, optionally schema-qualified, identifier. */
export function identifier(...parts: string[]): string {
  return parts.map((part) => escapeIdentifier(part)).join('.');
}
