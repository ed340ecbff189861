import { PG14, PG16 } from '../../shared/server-version.js';
import { formatLsn, type Lsn } from '../../shared/lsn.js';
import { identifier } from '../quoting.js';

export interface StartReplication {
  slotName: string;
  startLsn: Lsn;
  publications: readonly string[];
  messages: boolean;
  origin: 'any' | 'none';
}

/**
 * The START_REPLICATION command. Protocol 1 gives whole committed transactions only; in-progress streaming and
 * two-phase messages are never asked for. Options unknown to the server's version are left out: it would refuse.
 */
export function startReplicationCommand(request: StartReplication, versionNum: number): string {
  const options: [string, string][] = [
    ['proto_version', '1'],
    ['publication_names', request.publications.map((name) => identifier(name)).join(',')],
  ];
  if (request.messages && versionNum >= PG14) options.push(['messages', 'true']);
  if (request.origin === 'none' && versionNum >= PG16) options.push(['origin', 'none']);
  const list = options.map(([name, value]) => `${name} ${replicationLiteral(value)}`).join(', ');
  return `START_REPLICATION SLOT ${identifier(request.slotName)} LOGICAL ${formatLsn(request.startLsn)} (${list})`;
}

/** Replication commands have plain string literals only: quotes are doubled, backslashes mean themselves. */
function replicationLiteral(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}
