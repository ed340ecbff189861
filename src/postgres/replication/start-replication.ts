import { PG14, PG16 } from '../../shared/server-version.js';
import { formatLsn, type Lsn } from '../../shared/lsn.js';
import { identifier } from '../quoting.js';

export interface StartReplication {
  slotName: string;
  startLsn: Lsn;
  publications: readonly string[];
  messages: boolean;
  origin: 'any' | 'none';
  /** Transactions are sent when they are prepared, if that is past `startLsn`; else with their COMMIT PREPARED. 15 and newer. */
  twoPhase?: boolean;
}

/**
 * The START_REPLICATION command. Protocol 1 gives whole committed transactions only, 3 prepared ones too, which turns
 * the slot's two_phase on for good; in-progress streaming is never asked for. Options unknown to the server's version are left out: it would refuse.
 */
export function startReplicationCommand(request: StartReplication, versionNum: number): string {
  const options: [string, string][] = [
    ['proto_version', request.twoPhase ? '3' : '1'],
    ['publication_names', request.publications.map((name) => identifier(name)).join(',')],
  ];
  if (request.messages && versionNum >= PG14) options.push(['messages', 'true']);
  if (request.origin === 'none' && versionNum >= PG16) options.push(['origin', 'none']);
  if (request.twoPhase) options.push(['two_phase', 'on']);
  const list = options.map(([name, value]) => `${name} ${replicationLiteral(value)}`).join(', ');
  return `START_REPLICATION SLOT ${identifier(request.slotName)} LOGICAL ${formatLsn(request.startLsn)} (${list})`;
}

/** Replication commands have plain string literals only: quotes are doubled, backslashes mean themselves. */
function replicationLiteral(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}
