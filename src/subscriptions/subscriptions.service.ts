import { Injectable } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import type { Page, PageQuery } from '../api/page.js';
import { carryOut, type Change, type ChangeOptions, type Place, plan } from '../changes/change.js';
import { failpoint } from '../engine/failpoints.js';
import {
  readSubscriptionConnections,
  readSubscriptions,
  type Subscription,
} from '../postgres/catalog/subscriptions.js';
import { readSynchronizationSlots } from '../postgres/catalog/subscription-slots.js';
import { boundedAnswers } from '../postgres/connection.js';
import type { Statement } from '../postgres/ddl/statement.js';
import { disableSubscription, enableSubscription, refreshSubscription } from '../postgres/ddl/subscription.ddl.js';
import { type Session, withSession } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { publisherConninfo } from './publisher-connection.js';
import { PublisherEnds } from './publisher-ends.js';
import {
  type CreateSubscriptionOptions,
  type CreateSubscriptionRequest,
  SubscriptionCreation,
} from './subscription-creation.js';
import { readPublicationTables } from '../postgres/catalog/publication-tables.js';
import { readTableNames } from '../postgres/catalog/subscriber-rows.js';
import { LeftSlots } from './left-slots/left-slots.service.js';
import {
  type Preview,
  previewed,
  previewRefresh,
  previewWarnings,
  refuseAbsentTable,
  type RefreshPreview,
  unknownPreview,
} from './refresh-preview.js';
import {
  type DroppedSubscription,
  dropStatements,
  dropWarnings,
  explainDropFailure,
  isDroppedUnheard,
  isFromPublisher,
  type SlotLeft,
  slotLeftBy,
} from './subscription-drop.js';
import { patchStatements, publicationsAfter, type SubscriptionPatch } from './subscription-patch.js';
import { ignoredOptions, type SubscriptionWarning, together } from './subscription-warnings.js';
import type { SubscriptionView } from './subscription-view.js';
import { TablesNeedingVerification } from './tables-needing-verification.repository.js';

/** Refresh and drop talk to the publisher; a slow one must not be cut off at the pace of a catalog query. */
const PUBLISHER_TIMEOUT_MS = 60_000;
const WORKER_EXIT_MS = 10_000;

/** A change, what should be known of it, and, where tables are taken up, which; the latter in dry runs only. */
export interface SubscriptionChange<T> extends Change<T> {
  warnings: SubscriptionWarning[];
  tables?: RefreshPreview;
}

type LeftBehind = Omit<DroppedSubscription, 'name'>;

/** Subscriptions of any database of any registered server. */
@Injectable()
export class SubscriptionsService {
  constructor(
    private readonly servers: ServersService,
    private readonly creation: SubscriptionCreation,
    private readonly ends: PublisherEnds,
    private readonly needs: TablesNeedingVerification,
    private readonly left: LeftSlots,
  ) {}

  /** By name; only those of the page are looked at. */
  async page(server: string, database: string, query: PageQuery): Promise<Page<SubscriptionView>> {
    const { items, nextCursor } = await this.ends.page(server, database, query);
    return { items: await this.withNeeds(server, database, items), nextCursor };
  }

  /** Rejects with NOT_FOUND. */
  async get(server: string, database: string, name: string): Promise<SubscriptionView> {
    const [view] = await this.withNeeds(server, database, await this.ends.views(server, database, name));
    if (!view) throw unknownSubscription(name);
    return view;
  }

  async create(
    server: string,
    database: string,
    request: CreateSubscriptionRequest,
    options: CreateSubscriptionOptions = {},
  ): Promise<SubscriptionChange<SubscriptionView>> {
    const { statements, result, warnings } = await this.creation.create(server, database, request, options);
    if (result === null) return { statements, result, warnings };
    return { statements, warnings, result: withWarnings(await this.get(server, database, result.name), warnings) };
  }

  async patch(
    server: string,
    database: string,
    name: string,
    { publisher, ...rest }: SubscriptionPatch & { publisher?: Place },
    options: ChangeOptions = {},
  ): Promise<SubscriptionChange<SubscriptionView>> {
    if (publisher !== undefined && rest.connection !== undefined) {
      throw new Problem('INVALID_INPUT', 'give either publisher or connection', {
        errors: [{ pointer: '#/publisher', detail: 'excludes connection' }],
      });
    }
    const patch = publisher === undefined ? rest : { ...rest, connection: await this.connectionTo(publisher) };
    const place = publisher ?? (await this.publisherOf(server, database, name, rest.connection));
    const publisherVersion = place === null ? null : (await this.servers.facts(place.server)).versionNum;
    let preview: Preview | null = null;
    const compose = async (session: Session, current: Subscription) => {
      const statements = patchStatements(current, patch, session.versionNum, publisherVersion);
      const publications = publicationsAfter(current, patch);
      if (options.dryRun && current.enabled && publications !== null) {
        preview = await this.preview(session, current, publications, place);
      }
      return statements;
    };
    const change = await this.change(server, database, name, compose, options, patch.name);
    const warnings = ignoredOptions(patch.options ?? {}, publisherVersion);
    if (change.result !== null) return { ...change, warnings, result: withWarnings(change.result, warnings) };
    return { ...change, ...previewed(preview, warnings) };
  }

  enable(server: string, database: string, name: string, options: ChangeOptions = {}) {
    const compose = (_session: Session, { settings }: Subscription) => {
      if (settings.slotName !== null) return enableSubscription(name);
      throw new Problem('WRONG_STATE', 'a subscription without a slot cannot be enabled', {
        hint: 'Set options.slotName to a slot of the publisher first.',
      });
    };
    return this.change(server, database, name, compose, options);
  }

  /** Also waits, up to 10 s, until its workers have ended; `workers` of the result tells whether they have. */
  async disable(
    server: string,
    database: string,
    name: string,
    options: ChangeOptions = {},
  ): Promise<Change<SubscriptionView>> {
    const change = await this.change(server, database, name, () => disableSubscription(name), options);
    if (change.result === null) return change;
    await this.servers.withSession(server, database, (session) => workersGone(session, name));
    return { ...change, result: await this.get(server, database, name) };
  }

  async refresh(
    server: string,
    database: string,
    name: string,
    { copyData, ...options }: ChangeOptions & { copyData?: boolean } = {},
  ): Promise<SubscriptionChange<SubscriptionView>> {
    const settings = copyData === undefined ? {} : { copyData };
    const place = options.dryRun ? await this.publisherOf(server, database, name) : null;
    let preview: Preview | null = null;
    const compose = async (session: Session, current: Subscription) => {
      if (!current.enabled) {
        throw new Problem('WRONG_STATE', 'only an enabled subscription can be refreshed', { hint: 'Enable it first.' });
      }
      if (options.dryRun) preview = await this.preview(session, current, current.publications, place);
      return refreshSubscription(name, settings);
    };
    const change = await this.change(server, database, name, compose, options).catch(async (error: unknown) => {
      throw await this.ends.explainSilence(error, { server, database }, name);
    });
    return { ...change, ...previewed(preview, []) };
  }

  /** `slot`: `drop` has the server drop the slot on the publisher; `keep` needs no publisher and leaves it there. */
  async drop(
    server: string,
    database: string,
    name: string,
    slot: 'drop' | 'keep',
    { dryRun = false }: ChangeOptions = {},
  ): Promise<SubscriptionChange<DroppedSubscription>> {
    const view = await this.get(server, database, name);
    const target = await this.servers.target(server, database);
    return withSession(target, sessionLimits('drop subscription'), async (session) => {
      const current = await requireSubscription(session, name);
      requireUnchanged(current, view);
      const statements = dropStatements(current, slot, session.versionNum);
      let planned = plan({ server, database }, statements);
      const hindered = dropWarnings(view, slot);
      const warnings = dryRun && hindered.length > 0 && (await this.isSlotGone(view)) ? [] : hindered;
      if (dryRun) return { statements: planned, result: null, warnings };
      let left: LeftBehind = { slotLeft: null, tableSlotsLeft: [] };
      if (isDroppedUnheard(current, slot)) {
        left = await this.dropUnheard(session, { server, database }, view, statements);
      } else {
        try {
          await carryOut(session, statements);
        } catch (error) {
          if ((await this.lookAgain(session, view)) === 'gone') throw unknownSubscription(name);
          const slotIsGone = isFromPublisher(session, error) && (await this.isSlotGone(view));
          if (!slotIsGone) throw explainDropFailure(session, view, error);
          const unheard = dropStatements(current, 'keep', session.versionNum);
          planned = plan({ server, database }, unheard);
          left = await this.dropUnheard(session, { server, database }, view, unheard, slotIsGone);
        }
      }
      await this.needs.forget({ server, database, oid: view.oid });
      return { statements: planned, result: { name, ...left }, warnings };
    });
  }

  /**
   * What stays is recorded once nobody else can change the subscription and before it is dropped, so that whoever finds
   * the record while that lock is free finds the outcome too.
   */
  private async dropUnheard(
    session: Session,
    place: Place,
    view: SubscriptionView,
    [lock, ...rest]: Statement[],
    slotIsGone = false,
  ): Promise<LeftBehind> {
    const { systemIdentifier } = await this.servers.facts(place.server);
    const records: string[] = [];
    try {
      const left = await session.transaction(async () => {
        await carryOut(session, [lock!]);
        requireUnchanged(await requireSubscription(session, view.name), view);
        const slots = await readSynchronizationSlots(session, String(view.oid), systemIdentifier);
        const slotLeft = slotIsGone ? null : slotLeftBy(view);
        const tableSlotsLeft = slots.flatMap((slot) => slotLeftBy(view, slot) ?? []);
        for (const left of [...(slotLeft === null ? [] : [slotLeft]), ...tableSlotsLeft]) {
          records.push(await this.recordLeft(place.server, place.database, view, left));
        }
        await failpoint('subscription.drop.recorded');
        await carryOut(session, rest, { inTransaction: true });
        return { slotLeft, tableSlotsLeft };
      });
      await failpoint('subscription.drop.done');
      await this.left.confirm(records);
      return left;
    } catch (error) {
      // Of a session that was lost it is not known whether it dropped; a look at the record will tell.
      const now = await this.lookAgain(session, view);
      if (now === 'as-before') await this.left.forget(records);
      // Somebody else was first; the server, which finds its row gone after waiting for it, has no better word.
      if (records.length === 0 && now === 'gone') throw unknownSubscription(view.name);
      throw error;
    }
  }

  /** Somebody dropped it on the publisher, or an earlier drop did whose answer was lost. */
  private async isSlotGone({ publisher, slotName }: SubscriptionView): Promise<boolean> {
    return publisher !== null && slotName !== null && this.ends.isWithoutSlot(publisher.server, slotName);
  }

  /** What is certain of the subscription: somebody else may have dropped it at the same time. */
  private async lookAgain(
    session: Session,
    { oid, name, slotName }: SubscriptionView,
  ): Promise<'as-before' | 'gone' | 'unknown'> {
    const found = session.alive ? await readSubscriptions(session, name).catch(() => null) : null;
    if (found === null) return 'unknown';
    const same = found.find((each) => each.oid === oid);
    if (!same) return 'gone';
    return same.settings.slotName === slotName ? 'as-before' : 'unknown';
  }

  private recordLeft(
    server: string,
    database: string,
    { name, oid }: SubscriptionView,
    { name: slot, publisher, host, port, database: publisherDatabase }: SlotLeft,
  ): Promise<string> {
    return this.left.record({
      ...{ slot, publisherServer: publisher?.server ?? null, publisherDatabase: publisherDatabase ?? '' },
      ...{ host: host ?? '', port: port ?? '' },
      ...{ subscriberServer: server, subscriberDatabase: database, subscription: name, subscriptionOid: oid },
    });
  }

  /** The registered server a connection string leads to, that of the subscription if none is given; null: none. */
  private async publisherOf(
    server: string,
    database: string,
    name: string,
    connection?: string,
  ): Promise<Place | null> {
    const conninfo =
      connection ??
      (await this.servers.withSession(server, database, (session) => readSubscriptionConnections(session, name)))?.get(
        name,
      );
    return conninfo === undefined ? null : this.ends.publisherBy(conninfo);
  }

  private async preview(
    session: Session,
    { tables }: Subscription,
    publications: string[],
    publisher: Place | null,
  ): Promise<Preview> {
    const unknown = (reason: string) => ({ tables: unknownPreview(reason), warnings: [] });
    if (publisher === null) {
      return unknown('the publisher is not a registered server, or the login may not read which it is');
    }
    const existing = await readTableNames(session);
    try {
      const published = await this.servers.withSession(publisher.server, publisher.database, (there) =>
        readPublicationTables(there, publications, session.versionNum),
      );
      const preview = previewRefresh(published.tables, tables, existing);
      return { tables: preview, warnings: previewWarnings(preview, published) };
    } catch (error) {
      if (!(error instanceof Problem) || error.code === 'INTERNAL') throw error;
      return unknown(`the publisher ${publisher.server} did not answer: ${error.detail}`);
    }
  }

  private async withNeeds(server: string, database: string, views: SubscriptionView[]): Promise<SubscriptionView[]> {
    if (views.length === 0) return views;
    const needs = new Map(
      (await this.needs.of(server, database)).map(({ oid, schema, name, ...need }) => [
        JSON.stringify([oid, schema, name]),
        need,
      ]),
    );
    if (needs.size === 0) return views;
    return views.map((view) => ({
      ...view,
      tables: view.tables.map((table) => ({
        ...table,
        needsVerification: needs.get(JSON.stringify([view.oid, table.schema, table.name])) ?? null,
      })),
    }));
  }

  private async connectionTo({ server, database }: { server: string; database: string }): Promise<string> {
    return publisherConninfo(await this.servers.advertisedTarget(server, database));
  }

  private async change(
    server: string,
    database: string,
    name: string,
    compose: (session: Session, current: Subscription) => Statement[] | Promise<Statement[]>,
    { dryRun = false }: ChangeOptions,
    newName = name,
  ): Promise<Change<SubscriptionView>> {
    const target = await this.servers.target(server, database);
    const statements = await withSession(target, sessionLimits('subscription'), async (session) => {
      const composed = await compose(session, await requireSubscription(session, name));
      const planned = plan({ server, database }, composed);
      if (!dryRun) await carryOut(session, composed).catch(refuseAbsentTable);
      return planned;
    });
    return { statements, result: dryRun ? null : await this.get(server, database, newName) };
  }
}

function withWarnings(view: SubscriptionView, warnings: SubscriptionWarning[]): SubscriptionView {
  return { ...view, warnings: together(warnings, view.warnings) };
}

function sessionLimits(purpose: string) {
  return { purpose, ...boundedAnswers(PUBLISHER_TIMEOUT_MS) };
}

function requireUnchanged({ oid, name, settings }: Subscription, view: SubscriptionView): void {
  if (oid === view.oid && settings.slotName === view.slotName) return;
  throw new Problem('CONFLICT', `subscription ${JSON.stringify(name)} was changed meanwhile`, { retryable: true });
}

async function requireSubscription(session: Session, name: string): Promise<Subscription> {
  const [subscription] = await readSubscriptions(session, name);
  if (!subscription) throw unknownSubscription(name);
  return subscription;
}

function unknownSubscription(name: string): Problem {
  return new Problem('NOT_FOUND', `there is no subscription ${JSON.stringify(name)} in this database`);
}

async function workersGone(session: Session, name: string): Promise<void> {
  for (const deadline = Date.now() + WORKER_EXIT_MS; Date.now() < deadline; await delay(50)) {
    const [subscription] = await readSubscriptions(session, name);
    if (!subscription || subscription.enabled || subscription.workers.length === 0) return;
  }
}
