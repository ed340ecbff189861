import { originLimit } from '../postgres/catalog/replication-capacity.sql.js';
import { readSubscriptionRoom, type SubscriptionRoom } from '../postgres/catalog/subscription-room.js';
import type { Session } from '../postgres/session.js';
import { PG14 } from '../shared/server-version.js';
import type { SubscriptionWarning } from './subscription-warnings.js';

interface Limit {
  setting: string;
  max: number;
  /** For good, by others; where `exact` is false, at most. */
  taken: number;
  exact: boolean;
  /** Besides, and soon free again. */
  passing: number;
  /** What takes it. */
  by: string;
  /** What a subscription wants of it, and its first copies want besides. */
  wanted: 'worker' | 'origin';
  forCopies: number;
}

/** What limits the subscriptions of a server. Launching them takes a worker process by itself. */
function limitsOf(room: SubscriptionRoom): Limit[] {
  const { enabled, passing, otherProcesses, origins, originsExact, versionNum } = room;
  const others = counted(enabled, 'other enabled subscription');
  const processes = 1 + otherProcesses;
  return [
    {
      ...{ setting: 'max_logical_replication_workers', max: room.logicalWorkersMax, taken: enabled, exact: true },
      ...{ passing, by: `${others} of its cluster`, wanted: 'worker', forCopies: 1 },
    },
    {
      ...{ setting: 'max_worker_processes', max: room.workerProcessesMax, taken: enabled + processes, exact: true },
      ...{ passing, by: `${others} of its cluster and ${counted(processes, 'other process', 'es')}` },
      ...{ wanted: 'worker', forCopies: 1 },
    },
    {
      ...{ setting: originLimit(versionNum), max: room.originsMax, taken: origins, exact: originsExact, passing: 0 },
      // Before 14 a first copy has no origin of its own.
      ...{ by: 'origins of other subscriptions', wanted: 'origin', forCopies: versionNum >= PG14 ? 1 : 0 },
    },
  ];
}

/**
 * That an enabled subscription, or its first copies, will not run for want of room, of which PostgreSQL tells its log only.
 * What else may come to take room, or is not to be seen, is not counted.
 * @param subscription its oid; null: it is not there yet
 */
export async function roomWarnings(
  session: Session,
  subscription: number | null,
  { copies }: { copies: boolean },
): Promise<SubscriptionWarning[]> {
  const room = await readSubscriptionRoom(session, subscription);
  if (room === null) return [];
  return limitsOf(room).flatMap((limit) => {
    const needed = 1 + (copies ? limit.forCopies : 0);
    return limit.taken + limit.passing + needed > limit.max
      ? [{ rule: 'subscriber-has-room' as const, option: null, detail: shortOf(limit, needed) }]
      : [];
  });
}

function shortOf({ setting, max, taken, exact, passing, by, wanted }: Limit, needed: number): string {
  const now = passing === 0 ? '' : `, and ${counted(passing, 'worker')} of theirs by now`;
  const [one, more] = [`one ${wanted}`, needed > 1 ? ' and one more for first copies' : ''];
  const outcome =
    taken + 1 > max
      ? 'not all of them run, and which do is decided by who starts first'
      : taken + needed > max
        ? 'it runs, but its first copies do not begin'
        : 'it, or its first copies, waits until those have ended';
  return (
    `the subscriber has ${setting} = ${max}, of which ${exact ? '' : 'up to '}${taken} ${taken === 1 ? 'is' : 'are'} taken ` +
    `by ${by}${now}; this subscription needs ${one}${more}: ${outcome}. PostgreSQL says so in its log only. ` +
    raise(setting, taken + passing + needed)
  );
}

/**
 * Why an enabled subscription may have no apply worker, or its tables none: the limits that the enabled ones of the
 * cluster exceed for good. Null: none that is known.
 * @param room of all of them
 */
export function exceededBy(room: SubscriptionRoom, { copies }: { copies: boolean }): string | null {
  const exceeded = limitsOf(room).filter(
    ({ max, taken, exact, forCopies }) => (exact ? taken : room.enabled) + (copies ? forCopies : 0) > max,
  );
  if (exceeded.length === 0) return null;
  const limits = exceeded.map(({ setting, max }) => `${setting} = ${max}`).join(' and ');
  const wanting = copies ? 'with a worker for first copies ' : '';
  const enabled = counted(room.enabled, 'enabled subscription');
  return `the ${enabled} of the subscriber's cluster ${wanting}do not all find room: ${limits}, and raising it takes a restart`;
}

function raise(setting: string, needed: number): string {
  return `alter system set ${setting} = ${needed}; then restart the subscriber.`;
}

function counted(count: number, what: string, plural = 's'): string {
  return `${count} ${what}${count === 1 ? '' : plural}`;
}
