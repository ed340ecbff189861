/** What an UPDATE or DELETE carries of the old row (pg_class.relreplident). */
export type ReplicaIdentityKind = 'default' | 'full' | 'index' | 'nothing';

const BY_CODE: Record<string, ReplicaIdentityKind> = { d: 'default', f: 'full', i: 'index', n: 'nothing' };

export function decodeReplicaIdentity(code: string): ReplicaIdentityKind {
  const kind = BY_CODE[code];
  if (!kind) throw new RangeError(`unknown replica identity ${JSON.stringify(code)}`);
  return kind;
}
