import { identifier } from '../quoting.js';
import { invalidInput, requireIdentifier } from './option-rules.js';
import { statement, type Statement } from './statement.js';

export type ReplicaIdentitySpec = { kind: 'default' | 'full' | 'nothing' } | { kind: 'index'; index: string };

const EFFECTS = {
  default: 'UPDATE and DELETE write the old primary key to the WAL.',
  index: 'UPDATE and DELETE write the old columns of the index to the WAL.',
  full: 'UPDATE and DELETE write the whole old row to the WAL, and subscribers look for it by all columns: more WAL, and up to 15 a scan of the table for each row.',
  nothing: 'UPDATE and DELETE fail while a publication sends them.',
};

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
      { effect: EFFECTS[spec.kind], needs: { kind: 'owner', type: 'table', schema, name: table } },
    ),
  ];
}
