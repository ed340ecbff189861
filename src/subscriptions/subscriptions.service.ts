import { Injectable } from '@nestjs/common';
import type { Page, PageQuery } from '../api/page.js';
import { carryOut, type Change, type ChangeOptions, type Place, plan } from '../changes/change.js';
import { failpoint } from '../engine/failpoints.js';
import { readSubscriptions } from '../postgres/catalog/subscriptions.js';
import { readSynchronizationSlots } from '../postgres/catalog/subscription-slots.js';
import type { Statement } from '../postgres/ddl/statement.js';
import { type Session, withSession } from '../postgres/session.js';
import { ServersService } from '../servers/servers.service.js';
import { PublisherEnds } from './publisher-ends.js';
import {
  type CreateSubscriptionOptions,
  type CreateSubscriptionRequest,
  SubscriptionCreation,
} from './subscription-creation.js';
import { LeftSlots } from './left-slots/left-slots.service.js';
import type { RefreshPreview } from './refresh-preview.js';
import { type Alteration, type PatchRequest, SubscriptionAlteration } from './subscription-alteration.js';
import {
  type DroppedSubscription,
  dropStatements,
  dropWarnings,
  explainDropFailure,
  isDroppedUnheard,
  isFromPublisher,
  leavingSlot,
  type SlotLeft,
  slotLeftBy,
} from './subscription-drop.js';
import { requireSubscription, requireUnchanged, sessionLimits, unknownSubscription } from './subscription-session.js';
import { SlotSharers } from './slot-sharers.js';
import { type SubscriptionWarning, together } from './subscription-warnings.js';
import type { SubscriptionView } from './subscription-view.js';
import { TablesNeedingVerification } from './tables-needing-verification.repository.js';

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
    private readonly alteration: SubscriptionAlteration,
    private readonly sharers: SlotSharers,
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
    const { result, ...planned } = await this.creation.create(server, database, request, options);
    if (result === null) return { ...planned, result };
    const view = await this.get(server, database, result.name);
    return { ...planned, result: withWarnings(view, planned.warnings) };
  }

  /** Rejects with CONFLICT for a slot that does not go on where applying ended, unless forced. */
  async patch(
    server: string,
    database: string,
    name: string,
    patch: PatchRequest,
    options: ChangeOptions = {},
  ): Promise<SubscriptionChange<SubscriptionView>> {
    const altered = await this.alteration.patch({ server, database }, name, patch, options);
    return this.withResult(server, database, patch.name ?? name, altered, options);
  }

  async enable(server: string, database: string, name: string, options: ChangeOptions = {}) {
    const altered = await this.alteration.enable({ server, database }, name, options);
    return this.withResult(server, database, name, altered, options);
  }

  /** Also waits, up to 10 s, until its workers have ended; `workers` of the result tells whether they have. */
  async disable(server: string, database: string, name: string, options: ChangeOptions = {}) {
    const altered = await this.alteration.disable({ server, database }, name, options);
    return this.withResult(server, database, name, altered, options);
  }

  async refresh(
    server: string,
    database: string,
    name: string,
    options: ChangeOptions & { copyData?: boolean } = {},
  ): Promise<SubscriptionChange<SubscriptionView>> {
    const place = { server, database };
    const altered = await this.alteration.refresh(place, name, options).catch(async (error: unknown) => {
      throw await this.ends.explainSilence(error, place, name);
    });
    return this.withResult(server, database, name, altered, options);
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
    if (slot === 'drop') await this.sharers.requireAlone({ server, database }, view);
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
        const slotLeft = slotLeftBy(view);
        const tableSlotsLeft = slots.flatMap((slot) => slotLeftBy(view, slot) ?? []);
        for (const left of [...(slotLeft === null ? [] : [slotLeft]), ...tableSlotsLeft]) {
          records.push(await this.recordLeft(place.server, place.database, view, left));
        }
        await failpoint('subscription.drop.recorded');
        await carryOut(session, rest, { inTransaction: true });
        // Recorded all the same: a look at the publisher forgets one that is really gone.
        return { slotLeft: slotIsGone ? null : slotLeft, tableSlotsLeft };
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

  private recordLeft(server: string, database: string, view: SubscriptionView, slot: SlotLeft): Promise<string> {
    return this.left.record(leavingSlot({ server, database }, view, slot));
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

  private async withResult(
    server: string,
    database: string,
    name: string,
    altered: Alteration,
    { dryRun = false }: ChangeOptions,
  ): Promise<SubscriptionChange<SubscriptionView>> {
    if (dryRun) return { ...altered, result: null };
    return { ...altered, result: withWarnings(await this.get(server, database, name), altered.warnings) };
  }
}

function withWarnings(view: SubscriptionView, warnings: SubscriptionWarning[]): SubscriptionView {
  return { ...view, warnings: together(warnings, view.warnings) };
}
