import { identifier } from '../../postgres/quoting.js';
import { parseConninfo } from '../../postgres/ddl/conninfo.js';
import type { LinkLook, PublisherLook } from '../link-looks.js';
import type { Verdict } from './check.js';
import { agrees, disagrees, unknown } from './verdict.js';
import { shownApplicationName } from '../../shared/application-name.js';

const PLUGIN = 'pgoutput';
/** By PATCH with slotName, which looks at where the slot starts. */
const NOT_SENT =
  'A slot sends nothing from before its own start: PATCH with slotName refuses one that starts past what is applied; with "force": true it is taken, and the tables are marked as needing verification.';

export function slotExists({ view }: LinkLook, { slot, place }: PublisherLook): Verdict {
  const name = JSON.stringify(view.slotName);
  if (view.slotName === null) {
    return disagrees('the subscription has no slot', `Create one, and give it. ${NOT_SENT}`);
  }
  if (slot) return agrees(`the slot ${name} exists on ${place.server}`);
  return disagrees(
    `the slot ${name} does not exist on ${place.server}`,
    'What was not applied yet cannot be had from a new one: drop the subscription with ?slot=keep, create it anew, and copy or verify the tables.',
  );
}

export function slotKind(_look: LinkLook, { slot, place }: PublisherLook): Verdict {
  if (!slot) return unknown('there is no slot to look at');
  const wrong = [
    ...(slot.kind === 'logical' ? [] : [`it is ${slot.kind}`]),
    ...(slot.plugin === PLUGIN || slot.kind !== 'logical' ? [] : [`its plugin is ${slot.plugin}`]),
    ...(slot.database === place.database || slot.kind !== 'logical'
      ? []
      : [
          `it is of the database ${JSON.stringify(slot.database)}, and the subscription's connection leads to ${JSON.stringify(place.database)}`,
        ]),
  ];
  if (wrong.length === 0) return agrees(`the slot is logical, of ${PLUGIN}, in ${JSON.stringify(place.database)}`);
  return disagrees(
    `the slot cannot serve the subscription: ${wrong.join(', ')}`,
    `Give the subscription a slot of its own. ${NOT_SENT}`,
  );
}

export function slotUsable(_look: LinkLook, { slot }: PublisherLook): Verdict {
  if (!slot) return unknown('there is no slot to look at');
  const why = slot.invalidationReason === null ? '' : ` (${slot.invalidationReason})`;
  if (slot.walStatus === 'lost' || slot.invalidationReason !== null || slot.conflicting === true) {
    return disagrees(
      `the slot is lost${why}: what the subscription missed cannot be sent any more`,
      'Drop the subscription and create it anew; copy the tables, or verify and mend them.',
    );
  }
  if (slot.walStatus === null) return unknown('the publisher does not tell what is left of the WAL for the slot');
  const atRisk = slot.walStatus === 'unreserved' ? ', but is about to lose its WAL' : '';
  return agrees(`the slot is ${slot.walStatus}${atRisk}`);
}

/** As far as can be seen: a walsender tells its application name, which is the subscription's unless set otherwise. */
export function slotOurs({ view, conninfo, server }: LinkLook, publisher: PublisherLook): Verdict {
  const { slot, sender, versionNum, login } = publisher;
  if (!slot) return unknown('there is no slot to look at');
  const worker = view.workers.find(({ kind }) => kind === 'apply');
  if (!slot.active) {
    const why = view.enabled ? 'its worker is not connected just now' : 'the subscription is disabled';
    return unknown(
      `nobody streams from the slot: ${why}`,
      view.enabled ? 'Look again.' : 'Look again once it is enabled.',
    );
  }
  if (sender === null)
    return unknown(`process ${slot.activePid} streams from the slot, and has ended meanwhile`, 'Look again.');
  if (sender.application === null) {
    return unknown(
      `the login may not see who streams from the slot (process ${sender.pid})`,
      'Grant it on the publisher.',
      `grant pg_monitor to ${identifier(login)}`,
    );
  }
  const who = `process ${sender.pid} (${sender.application}, user ${sender.user}, from ${sender.clientAddress ?? 'a local socket'})`;
  const expected = shownApplicationName(applicationName(conninfo) ?? view.name, versionNum);
  if (sender.application !== expected) {
    return disagrees(
      `the slot is read by another: ${who}`,
      `End the other, or give the subscription a slot of its own. ${NOT_SENT}`,
    );
  }
  if (!worker) {
    return disagrees(
      `the slot is read by ${who}, and the subscription has no worker on ${server}`,
      'Another subscription of that name may use the slot, for example on a copy of the subscriber: only one of them may.',
    );
  }
  return agrees(`the subscription's worker reads it: ${who}`);
}

function applicationName(conninfo: string | null): string | null {
  try {
    return conninfo === null ? null : (parseConninfo(conninfo).application_name ?? null);
  } catch {
    return null;
  }
}
