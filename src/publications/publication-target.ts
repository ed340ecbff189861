import type { PublicationTargetSpec } from '../postgres/ddl/publication-spec.js';
import { type InputError, Problem } from '../problems/problem.js';
import type { PublicationTargetDto } from './publications.dto.js';

/** The target as a specification. A field that the kind has no use for is refused rather than ignored. */
export function targetOf({ kind, schemas, tables }: PublicationTargetDto): PublicationTargetSpec {
  const surplus: InputError[] = [];
  if (kind !== 'schemas' && schemas !== undefined) surplus.push(notWith('schemas', kind));
  if (kind === 'allTables' && tables !== undefined) surplus.push(notWith('tables', kind));
  if (surplus.length > 0) {
    throw new Problem('INVALID_INPUT', 'the target has fields that its kind excludes', { errors: surplus });
  }
  switch (kind) {
    case 'allTables':
      return { kind };
    case 'schemas':
      return { kind, schemas: schemas ?? [], tables: tables ?? [] };
    case 'tables':
      return { kind, tables: tables ?? [] };
  }
}

function notWith(field: string, kind: string): InputError {
  return { pointer: `#/target/${field}`, detail: `does not go with kind ${kind}` };
}
