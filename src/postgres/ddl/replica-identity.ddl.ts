import { identifier } from '../quoting.js';
import { invalidInput, requireIdentifier } from './option-rules.js';
import { statement, type Statement } from './statement.js';

export type ReplicaIdentitySpec = { kind: 'default' | 'full' | 'nothing' } | { kind: 'index'; index: string };

/** ALTER TABLE ... REPLICA IDENTITY: of this table alone, its partitions have their own. */
export function setReplicaIdentity(schema: string, table: string, spec: ReplicaIdentitySpec): Statement[] {
  requireIdentifier(schema, '/schema');
  requireIdentifier(table, '/table');
  if (spec.kind === 'index' && spec.index === '') throw invalidInput('/index', 'the index is missing');
  const identity = spec.kind === 'index' ? `using index ${identifier(spec.index)}` : spec.kind;
  return [
    statement(
      `alter table ${identifier(schema, table)} replica identity ${identity}`,
      'ACCESS EXCLUSIVE on the table, for an instant: waits for, and meanwhile blocks, reads and writes',
      { needs: { kind: 'owner', type: 'table', schema, name: table } },
    ),
  ];
}
