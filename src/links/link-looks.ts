import { Injectable } from '@nestjs/common';
import { createHash } from 'node:crypto';
import type { Place } from '../changes/change.js';
import { hasOrigin, readSystemIdentifier } from '../postgres/catalog/link-facts.js';
import { type ReplicationSlot, readReplicationSlots } from '../postgres/catalog/replication-slots.js';
import { readSentFingerprint, readSentTables, type SentTables } from '../postgres/catalog/sent-tables.js';
import { mayReadOrigins, readSubscriptionConnections } from '../postgres/catalog/subscriptions.js';
import {
  readKnownNames,
  readTableDefinitions,
  readTablesFingerprint,
  type TableDefinition,
} from '../postgres/catalog/table-definitions.js';
import { readRulesFingerprint } from '../postgres/catalog/table-rules.js';
import type { TableName } from '../postgres/catalog/tables.js';
import { readWalSenderPositions, type WalSenderPositions } from '../postgres/catalog/wal-senders.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { turnsRowSecurityOff } from '../subscriptions/publisher-connection.js';
import { PublisherEnds } from '../subscriptions/publisher-ends.js';
import type { SubscriptionView } from '../subscriptions/subscription-view.js';
import type { LinkSchema } from './drift/compare-link.js';
import { typesToLookUp } from './drift/new-column.js';
import type { Copies } from './drift/finding.js';
import { detailOf, type LinkTarget, LinkTargets, readConninfo } from './link-target.js';

/** Changed when the same catalogs are to be judged otherwise: what was found before is then looked at afresh. */
const COMPARISON = 6;

/** A subscription, named from its subscriber. */
export interface LinkName extends Place {
  subscription: string;
}

/** The subscriber's end, and where its publisher is. */
export interface SubscriberLook extends LinkName {
  view: SubscriptionView;
  versionNum: number;
  hasOrigin: boolean;
  /** The login may read how far it is. */
  originReadable: boolean;
  login: string;
  conninfo: string | null;
  target: LinkTarget;
  copies: Copies;
}

/** The publisher's end. */
export interface PublisherLook {
  place: Place;
  versionNum: number;
  login: string;
  slot: ReplicationSlot | null;
  /** That streams from the slot; null: none does. */
  sender: WalSenderPositions | null;
  sent: SentTables;
  tables: TableDefinition[];
}

/** Both ends of a link in all that they must agree in. */
export interface LinkLook extends SubscriberLook {
  /** Null: it could not be looked at, for `problem`. */
  publisher: PublisherLook | null;
  problem: string | null;
  schema: LinkSchema | null;
}

/** Hashes over what was looked at. */
export interface Fingerprints {
  /** Of the definitions on each side: equal where the schemas are, on all versions. Null: there is no table. */
  publisher: string | null;
  subscriber: string | null;
  /** Over all that the comparison goes by: unchanged, so is what it finds. */
  basis: string;
}

/** Looks at both ends of a link, each in a session of its own that is given back before the other is asked. */
@Injectable()
export class LinkLooks {
  constructor(
    private readonly servers: ServersService,
    private readonly ends: PublisherEnds,
    private readonly targets: LinkTargets,
  ) {}

  /** Rejects with NOT_FOUND, and where the subscriber does not answer. */
  async subscriber({ server, database, subscription }: LinkName): Promise<SubscriberLook> {
    const [view] = await this.ends.views(server, database, subscription);
    if (!view) throw unknownLink(subscription);
    const found = await this.servers.withSession(server, database, async (session) => ({
      ...{ versionNum: session.versionNum, hasOrigin: await hasOrigin(session, view.oid) },
      originReadable: await mayReadOrigins(session),
      conninfos: await readSubscriptionConnections(session, subscription),
      login: (await readSystemIdentifier(session)).login,
    }));
    const conninfo = found.conninfos?.get(subscription) ?? null;
    if (found.conninfos !== null && conninfo === null) throw unknownLink(subscription);
    const target = await this.targets.find(server, conninfo, found.login);
    const { conninfos: _conninfos, ...rest } = found;
    return { ...{ server, database, subscription, view, conninfo, target, copies: copiesOf(conninfo) }, ...rest };
  }

  /** Rejects with a Problem where either end does not answer. */
  async fingerprints(look: SubscriberLook, publisher: Place): Promise<Fingerprints> {
    const { view, versionNum } = look;
    const subscribed = view.tables.map(nameOf);
    const there = await this.servers.withSession(publisher.server, publisher.database, (session) =>
      readSentFingerprint(session, view.publications, versionNum, subscribed, rolesOf(look)),
    );
    const here = await this.servers.withSession(look.server, look.database, async (session) => ({
      definitions: await readTablesFingerprint(session, there.names),
      rules: await readRulesFingerprint(session, there.names),
    }));
    const { oid, publications, enabled, options, twoPhaseState, owner } = view;
    const basis = [COMPARISON, publisher, oid, publications, enabled, options.binary, twoPhaseState, subscribed];
    const text = JSON.stringify([
      ...basis,
      owner,
      options.runAsOwner,
      look.copies,
      there.sent,
      there.definitions,
      there.rules,
      here,
    ]);
    return {
      publisher: there.definitions,
      subscriber: here.definitions,
      basis: createHash('sha256').update(text).digest('hex'),
    };
  }

  /** A publisher that is away is part of the answer. */
  async both(look: SubscriberLook): Promise<LinkLook> {
    const place = look.target.publisher;
    if (place === null) return { ...look, publisher: null, problem: look.target.reason, schema: null };
    let publisher: PublisherLook;
    try {
      publisher = await this.publisher(look, place);
    } catch (error) {
      const problem = `the publisher ${place.server} did not tell: ${detailOf(error)}`;
      return { ...look, publisher: null, problem, schema: null };
    }
    return { ...look, publisher, problem: null, schema: await this.schema(look, publisher) };
  }

  private publisher(look: SubscriberLook, place: Place): Promise<PublisherLook> {
    const { view, versionNum } = look;
    return this.servers.withSession(place.server, place.database, async (session) => {
      const { slotName } = view;
      const [slot = null] = slotName === null ? [] : await readReplicationSlots(session, slotName);
      const senders = slot?.active ? await readWalSenderPositions(session) : [];
      const sent = await readSentTables(session, view.publications, versionNum);
      return {
        ...{ place, versionNum: session.versionNum, slot, sent },
        login: (await readSystemIdentifier(session)).login,
        sender: senders.find(({ pid }) => pid === slot?.activePid) ?? null,
        tables: await readTableDefinitions(session, namesOf(sent.tables, view.tables), rolesOf(look)),
      };
    });
  }

  private async schema(look: SubscriberLook, { sent, tables, versionNum }: PublisherLook): Promise<LinkSchema> {
    const { view, server, database } = look;
    const types = typesToLookUp(tables.flatMap(({ columns }) => columns));
    const schemas = [...new Set(tables.map(({ schema }) => schema))];
    const [onSubscriber, known] = await this.servers.withSession(server, database, async (session) => [
      await readTableDefinitions(session, namesOf(sent.tables, view.tables)),
      await readKnownNames(session, types, schemas),
    ]);
    return {
      ...{ subscription: view.name, binary: view.options.binary === true, enabled: view.enabled },
      twoPhase: view.twoPhaseState === 'enabled',
      ...{ owner: view.owner, runAsOwner: view.options.runAsOwner, copies: look.copies },
      ...{ sent, onPublisher: tables, onSubscriber, known, subscribed: view.tables.map(nameOf) },
      versions: { publisher: versionNum, subscriber: look.versionNum },
    };
  }
}

function copiesOf(conninfo: string | null): Copies {
  const { user = '', options = '' } = (conninfo === null ? null : readConninfo(conninfo)) ?? {};
  return { login: user === '' ? null : user, complete: turnsRowSecurityOff(options) };
}

function rolesOf({ copies: { login } }: SubscriberLook): string[] {
  return login === null ? [] : [login];
}

function namesOf(...lists: (readonly TableName[])[]): TableName[] {
  return [...new Map(lists.flat().map((table) => [JSON.stringify(nameOf(table)), nameOf(table)])).values()];
}

function nameOf({ schema, name }: TableName): TableName {
  return { schema, name };
}

function unknownLink(subscription: string): Problem {
  return new Problem('NOT_FOUND', `there is no subscription ${JSON.stringify(subscription)} in this database`);
}
