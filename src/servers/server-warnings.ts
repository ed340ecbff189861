import { fixedIn, minorAdvisories } from '../postgres/catalog/minor-advisories.js';
import type { ServerFacts } from '../postgres/catalog/server-facts.js';
import { majorOf } from '../shared/server-version.js';
import type { ServerIdentity } from './server.repository.js';

/** Something that works now and will hurt. `code` is stable. */
export interface ServerWarning {
  code: string;
  detail: string;
  hint?: string;
}

export function serverWarnings(
  name: string,
  facts: ServerFacts,
  relatives: readonly ServerIdentity[],
): ServerWarning[] {
  return [...ofIdentity(name, facts, relatives), ...ofRelease(facts), ...ofSettings(facts)];
}

/** Two names for one server, and two primaries with one history. Standbys of a registered primary are as they should be. */
function ofIdentity(name: string, facts: ServerFacts, relatives: readonly ServerIdentity[]): ServerWarning[] {
  const others = relatives.filter((other) => other.name !== name && other.systemIdentifier === facts.systemIdentifier);
  return others.flatMap((other): ServerWarning[] => {
    if (other.postmasterStartedAt === facts.postmasterStartedAt) {
      return [
        {
          code: 'SAME_SERVER',
          detail: `this is the same server as "${other.name}": same system identifier, started at the same time`,
          hint: 'Keep one of the two names, so that nothing is counted or done twice.',
        },
      ];
    }
    if (!facts.inRecovery && !other.inRecovery) {
      return [
        {
          code: 'TWO_PRIMARIES',
          detail: `"${other.name}" has the same system identifier and was not in recovery either when last checked`,
          hint: 'Either both names mean one server that was restarted in between (check both), or the cluster has split.',
        },
      ];
    }
    return [];
  });
}

function ofRelease({ versionNum, version }: ServerFacts): ServerWarning[] {
  return minorAdvisories(versionNum, version).map((advisory) => {
    const fixed = fixedIn(advisory, majorOf(versionNum));
    return {
      code: 'MINOR_RELEASE',
      detail: `${version}: ${advisory.fact}; ${advisory.meaning}`,
      hint: fixed === null ? 'No release of this major version has the fix.' : `Install ${fixed} or newer.`,
    };
  });
}

function ofSettings({ settings, headroom, walLevel, inRecovery }: ServerFacts): ServerWarning[] {
  const warnings: ServerWarning[] = [];
  if (walLevel !== 'logical') {
    warnings.push({
      code: 'WAL_LEVEL',
      detail: `wal_level is ${walLevel}: this server cannot publish, and its side of a verification needs another method`,
      hint: 'Set wal_level = logical and restart the server.',
    });
  }
  if (settings.fsync?.value === 'off') {
    warnings.push({
      code: 'FSYNC_OFF',
      detail: 'fsync is off: a crash of its machine may corrupt the server',
    });
  }
  const pending = Object.keys(settings).filter((name) => settings[name]!.pendingRestart);
  if (pending.length > 0) {
    warnings.push({
      code: 'PENDING_RESTART',
      detail: `changed in the configuration but not in effect before a restart: ${pending.join(', ')}`,
    });
  }
  if (headroom.replicationSlots.free === 0) {
    warnings.push({
      code: 'NO_FREE_SLOT',
      detail: `all ${headroom.replicationSlots.max} replication slots are in use`,
      hint: 'Raise max_replication_slots and restart the server, or drop slots that nothing uses.',
    });
  }
  if (headroom.walSenders.free === 0) {
    warnings.push({
      code: 'NO_FREE_WALSENDER',
      detail: `all ${headroom.walSenders.max} walsenders are in use`,
      hint: 'Raise max_wal_senders and restart the server.',
    });
  }
  if (inRecovery && settings.hot_standby_feedback?.value === 'off') {
    warnings.push({
      code: 'NO_STANDBY_FEEDBACK',
      detail: 'hot_standby_feedback is off: long reads on this standby may be cancelled',
    });
  }
  return warnings;
}
