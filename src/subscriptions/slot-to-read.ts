import type { Place } from '../changes/change.js';
import {
  isSlotCarriedOver,
  readReplicationSlots,
  type ReplicationSlot,
} from '../postgres/catalog/replication-slots.js';
import { COMBINATION_RULES, refusal } from '../postgres/ddl/options/combination-rules.js';
import type { Conninfo } from '../postgres/ddl/conninfo.js';
import type { Session } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import type { ServersService } from '../servers/servers.service.js';
import type { ServerAddress } from './publisher-lookup.js';
import { probe } from './publisher-probe.js';
import type { SubscriptionWarning } from './subscription-warnings.js';

export const LOOK_MS = 8_000;
const PLUGIN = 'pgoutput';

/** A slot that a subscription is to read from, and did not make. */
export interface SlotLook {
  /** Null: there is none, or it was not looked at. */
  slot: ReplicationSlot | null;
  /** Why it was not looked at; null: it was. */
  unknown: string | null;
  /** It came with the promotion of the publisher, as the copy of a slot of the former one. */
  isCarriedOver: boolean;
  /** Of the publisher; null: it was not looked at. */
  versionNum: number | null;
}

/** A publisher that is no registered server, as a subscriber is led to it. */
export interface Way {
  connection: Conninfo;
  /** Null: its address is not known. */
  subscriber: ServerAddress | null;
}

/** By what the publisher says now; one that is away, or no registered server, is an answer about the slot. */
export async function lookAtSlot(
  servers: ServersService,
  publisher: Place | null,
  name: string,
  way: Way | null = null,
): Promise<SlotLook> {
  const unseen = (unknown: string) => ({ slot: null, unknown, isCarriedOver: false, versionNum: null });
  if (publisher === null) {
    const look = way === null ? null : await probe(way.connection, way.subscriber, (there) => lookIn(there, name));
    const why = 'the publisher is not a registered server, or the login may not read which it is';
    return (
      look ?? unseen(way === null ? why : 'the publisher is not a registered server, and cannot be asked from here')
    );
  }
  try {
    return await servers.look(publisher.server, undefined, LOOK_MS, (there) => lookIn(there, name));
  } catch (error) {
    if (!(error instanceof Problem) || error.code === 'INTERNAL') throw error;
    return unseen(`the publisher ${publisher.server} did not answer: ${error.detail}`);
  }
}

async function lookIn(session: Session, name: string): Promise<SlotLook> {
  const [slot] = await readReplicationSlots(session, name);
  const isCarriedOver = await isSlotCarriedOver(session, name);
  return { slot: slot ?? null, unknown: null, isCarriedOver, versionNum: session.versionNum };
}

/** Rejects with PREREQUISITE_FAILED or SLOT_ACTIVE for one that is known not to serve a subscription. */
export function requireFit(
  look: SlotLook,
  name: string,
  publisher: Place,
  { pointer, mayBeOwn = false }: { pointer: string; mayBeOwn?: boolean },
): void {
  const refuse = (code: 'PREREQUISITE_FAILED' | 'SLOT_ACTIVE', detail: string) =>
    refusal('slot-to-read', code, detail, [{ pointer, detail }]);
  const misfit = misfitOf(look, name, publisher);
  if (misfit !== null) throw refuse('PREREQUISITE_FAILED', misfit);
  if (mayBeOwn || look.slot?.active !== true) return;
  throw refuse('SLOT_ACTIVE', `the slot ${name} is read by another: process ${look.slot.activePid ?? 'unknown'}`);
}

/** The same of one that is not read from before the subscription is enabled; somebody may see to it until then. */
export function misfitWarnings(look: SlotLook, name: string, publisher: Place): SubscriptionWarning[] {
  const misfit = misfitOf(look, name, publisher);
  if (misfit === null) return [];
  const detail = `${misfit}: once enabled, the subscription fails. ${COMBINATION_RULES['slot-to-read'].instead}`;
  return [{ rule: 'slot-to-read', option: 'slotName', detail }];
}

/** Why no subscription can read from it, whoever does now; null: one can, as far as is known. */
function misfitOf({ slot, unknown }: SlotLook, name: string, { server, database }: Place): string | null {
  if (unknown !== null) return null;
  if (slot === null) return `${server} has no slot ${JSON.stringify(name)}`;
  const wrong = [
    ...(slot.kind === 'logical' ? [] : [`it is ${slot.kind}`]),
    ...(slot.kind !== 'logical' || slot.plugin === PLUGIN ? [] : [`its plugin is ${slot.plugin}`]),
    ...(slot.kind !== 'logical' || slot.database === database
      ? []
      : [`it is of the database ${JSON.stringify(slot.database)}, not ${JSON.stringify(database)}`]),
    ...(slot.walStatus === 'lost' || slot.invalidationReason !== null || slot.conflicting === true
      ? ['it is lost']
      : []),
  ];
  return wrong.length === 0 ? null : `the slot ${name} cannot serve a subscription: ${wrong.join(', ')}`;
}
