import { aheadOfPublisher } from '../../subscriptions/subscription-lag.js';
import type { LinkLook, PublisherLook } from '../link-looks.js';
import { type DriftKind, type Finding, PHASES } from '../drift/finding.js';
import { unseenOf } from '../unseen.js';
import type { AgreementCheck, Verdict } from './check.js';
import { slotExists, slotKind, slotOurs, slotUsable } from './slot-checks.js';
import { agrees, disagrees, unknown } from './verdict.js';

const MOST_NAMED = 5;
const SEE_DRIFT = 'The schema drift of the link lists the statements that mend it, in order.';

const ON_SUBSCRIBER: readonly DriftKind[] = ['table-missing', 'table-renamed', 'table-kind', 'table-not-subscribed'];
const PUBLISHED: readonly DriftKind[] = ['table-not-published'];
const COLUMNS: readonly DriftKind[] = [
  ...(['column-missing', 'column-renamed', 'column-generated', 'column-extra-not-null', 'column-not-null'] as const),
  ...(['column-lists', 'column-type', 'column-collation', 'enum-labels', 'type-attributes'] as const),
];
const IDENTITY: readonly DriftKind[] = ['replica-identity'];

/**
 * Whether both ends of a link agree, check by check. Unknown is never agreement.
 *
 * @param findings null: the schemas could not be compared
 */
export function agreementOf(look: LinkLook, findings: readonly Finding[] | null): AgreementCheck[] {
  const { publisher } = look;
  const seen = (check: (look: LinkLook, end: PublisherLook) => Verdict): Verdict =>
    publisher === null ? unknown(look.problem ?? 'the publisher is not known') : check(look, publisher);
  const compared = (kinds: readonly DriftKind[], all: string): Verdict =>
    findings === null ? unknown(look.problem ?? 'the publisher is not known') : ofFindings(findings, kinds, all, look);
  const ours = seen(slotOurs);
  return [
    { check: 'connection-target', ...target(look, ours) },
    { check: 'slot-exists', ...seen(slotExists) },
    { check: 'slot-kind', ...seen(slotKind) },
    { check: 'slot-usable', ...seen(slotUsable) },
    { check: 'slot-ours', ...ours },
    { check: 'origin', ...origin(look) },
    { check: 'publications-exist', ...seen(publications) },
    {
      check: 'tables-on-subscriber',
      ...compared(ON_SUBSCRIBER, 'every table that is sent is there and subscribed to'),
    },
    { check: 'tables-published', ...compared(PUBLISHED, 'every table that is subscribed to is sent') },
    { check: 'columns', ...compared(COLUMNS, 'every column that is sent can be applied as it is') },
    { check: 'replica-identity', ...compared(IDENTITY, 'updated and deleted rows are told and found') },
  ];
}

/** An address that cannot be tried from here is still the right one where the publisher serves the worker. */
function target({ target: { publisher: _place, ...verdict }, publisher }: LinkLook, ours: Verdict): Verdict {
  if (verdict.state !== 'unknown' || ours.state !== 'agrees' || publisher === null) return verdict;
  return agrees(`${publisher.place.server} serves the subscription's worker (${verdict.reason})`);
}

function origin({ hasOrigin, view, publisher }: LinkLook): Verdict {
  const name = `pg_${view.oid}`;
  const ahead = hasOrigin && publisher !== null ? aheadOfPublisher(view.originLsn, publisher.slot) : null;
  if (ahead !== null) {
    return disagrees(
      ahead,
      'See that the address leads to the publisher that is meant. If it was restored, drop the subscription and create it anew; copy the tables, or verify and mend them.',
    );
  }
  if (hasOrigin) return agrees(`the subscriber has the replication origin ${name}`);
  return disagrees(
    `the subscriber has no replication origin ${name}: it does not know up to where it has applied`,
    'Somebody dropped it. Drop the subscription and create it anew; copy the tables, or verify and mend them.',
  );
}

function publications({ view }: LinkLook, { sent, place }: PublisherLook): Verdict {
  const list = (names: readonly string[]) => names.map((name) => JSON.stringify(name)).join(', ');
  if (sent.missing.length === 0) return agrees(`${place.server} has ${list(view.publications)}`);
  return disagrees(
    `${place.server} has no publication ${list(sent.missing)} in ${JSON.stringify(place.database)}: apply fails, or what only it sent is not sent`,
    'Create it, or take it out of the subscription.',
  );
}

function ofFindings(findings: readonly Finding[], kinds: readonly DriftKind[], all: string, look: LinkLook): Verdict {
  const found = findings.filter(({ kind }) => kinds.includes(kind));
  if (found.length > 0) {
    const named = found.slice(0, MOST_NAMED).map(({ table, detail }) => `${table.schema}.${table.name}: ${detail}`);
    const more = found.length > MOST_NAMED ? `; and ${found.length - MOST_NAMED} more` : '';
    const mended = found.some(({ mends }) => mends.some(({ phase }) => phase < PHASES.optional));
    const advice = found.find((finding) => finding.advice !== null)?.advice ?? null;
    return disagrees(`${named.join('; ')}${more}`, mended ? SEE_DRIFT : (advice ?? SEE_DRIFT));
  }
  const unseen = unseenOf(look);
  return unseen === null ? agrees(all) : unknown(unseen);
}
