import { Injectable } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { carryOut, type Change, type ChangeOptions, plan } from '../changes/change.js';
import { readSubscriptions, type Subscription } from '../postgres/catalog/subscriptions.js';
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
import { type DroppedSubscription, dropStatements, explainDropFailure, leftBehind } from './subscription-drop.js';
import { patchStatements, type SubscriptionPatch } from './subscription-patch.js';
import type { SubscriptionView } from './subscription-view.js';
import { TablesNeedingVerification } from './tables-needing-verification.repository.js';

/** Refresh and drop talk to the publisher; a slow one must not be cut off at the pace of a catalog query. */
const PUBLISHER_TIMEOUT_MS = 60_000;
const WORKER_EXIT_MS = 10_000;

/** Subscriptions of any database of any registered server. */
@Injectable()
export class SubscriptionsService {
  constructor(
    private readonly servers: ServersService,
    private readonly creation: SubscriptionCreation,
    private readonly ends: PublisherEnds,
    private readonly needs: TablesNeedingVerification,
  ) {}

  async list(server: string, database: string): Promise<SubscriptionView[]> {
    return this.withNeeds(server, database, await this.ends.views(server, database));
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
  ): Promise<Change<SubscriptionView>> {
    const { statements, result } = await this.creation.create(server, database, request, options);
    return { statements, result: result === null ? null : await this.get(server, database, result.name) };
  }

  async patch(
    server: string,
    database: string,
    name: string,
    { publisher, ...rest }: SubscriptionPatch & { publisher?: { server: string; database: string } },
    options: ChangeOptions = {},
  ): Promise<Change<SubscriptionView>> {
    if (publisher !== undefined && rest.connection !== undefined) {
      throw new Problem('INVALID_INPUT', 'give either publisher or connection', {
        errors: [{ pointer: '#/publisher', detail: 'excludes connection' }],
      });
    }
    const patch = publisher === undefined ? rest : { ...rest, connection: await this.connectionTo(publisher) };
    const compose = (session: Session, current: Subscription) => patchStatements(current, patch, session.versionNum);
    return this.change(server, database, name, compose, options, patch.name);
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

  refresh(
    server: string,
    database: string,
    name: string,
    { copyData, ...options }: ChangeOptions & { copyData?: boolean } = {},
  ): Promise<Change<SubscriptionView>> {
    const compose = (_session: Session, { enabled }: Subscription) => {
      if (enabled) return refreshSubscription(name, copyData === undefined ? {} : { copyData });
      throw new Problem('WRONG_STATE', 'only an enabled subscription can be refreshed', { hint: 'Enable it first.' });
    };
    return this.change(server, database, name, compose, options);
  }

  /** `slot`: `drop` has the server drop the slot on the publisher; `keep` needs no publisher and leaves it there. */
  async drop(
    server: string,
    database: string,
    name: string,
    slot: 'drop' | 'keep',
    { dryRun = false }: ChangeOptions = {},
  ): Promise<Change<DroppedSubscription>> {
    const view = await this.get(server, database, name);
    const target = await this.servers.target(server, database);
    return withSession(target, sessionLimits('drop subscription'), async (session) => {
      const statements = dropStatements(await requireSubscription(session, name), slot);
      const planned = plan({ server, database }, statements);
      if (dryRun) return { statements: planned, result: null };
      try {
        await carryOut(session, statements);
      } catch (error) {
        throw explainDropFailure(session, view, slot, error);
      }
      await this.needs.forget({ server, database, oid: view.oid });
      return { statements: planned, result: leftBehind(view, slot) };
    });
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
      if (!dryRun) await carryOut(session, composed);
      return planned;
    });
    return { statements, result: dryRun ? null : await this.get(server, database, newName) };
  }
}

function sessionLimits(purpose: string) {
  return { purpose, statementTimeoutMs: PUBLISHER_TIMEOUT_MS };
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
