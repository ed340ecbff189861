import { Injectable } from '@nestjs/common';
import { setTimeout as delay } from 'node:timers/promises';
import { carryOut, type ChangeOptions, type Place, plan, type PlannedStatement } from '../changes/change.js';
import {
  readSubscriptionConnections,
  readSubscriptions,
  type Subscription,
} from '../postgres/catalog/subscriptions.js';
import type { TableName } from '../postgres/catalog/tables.js';
import { refusal } from '../postgres/ddl/options/combination-rules.js';
import { tableKey } from '../postgres/ddl/publication-edit.js';
import type { Statement } from '../postgres/ddl/statement.js';
import { checkKnownOptions } from '../postgres/ddl/subscription-options.js';
import { disableSubscription, enableSubscription, refreshSubscription } from '../postgres/ddl/subscription.ddl.js';
import type { Session } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { publisherConninfo } from './publisher-connection.js';
import { columnWarnings, otherColumnsRefused, requireSameColumns } from './creation-checks.js';
import { PublisherEnds } from './publisher-ends.js';
import { isUncopied } from './copy-progress.js';
import { type Preview, previewed, refuseAbsentTable, type RefreshPreview } from './refresh-preview.js';
import { SlotChanges } from './slot-changes.js';
import {
  checkPatch,
  patchStatements,
  publicationsAfter,
  requireCopyAllowed,
  type SubscriptionPatch,
} from './subscription-patch.js';
import { roomWarnings } from './subscriber-room.js';
import { changing } from './subscription-session.js';
import { TakingUp, type TakingUpOptions } from './taking-up.js';
import { ignoredOptions, type SubscriptionWarning } from './subscription-warnings.js';

const WORKER_EXIT_MS = 10_000;

export type PatchRequest = SubscriptionPatch & {
  /** A registered server; else `connection`. */
  publisher?: Place;
  /** Take a slot that does not go on where applying ended: the tables are marked as needing verification. */
  force?: boolean;
};

/** What was changed of a subscription, or in a dry run would be; `tables` in dry runs only. */
export interface Alteration {
  statements: PlannedStatement[];
  warnings: SubscriptionWarning[];
  tables?: RefreshPreview;
}

/** Changes subscriptions that exist, one change of a subscription after the other. */
@Injectable()
export class SubscriptionAlteration {
  constructor(
    private readonly servers: ServersService,
    private readonly ends: PublisherEnds,
    private readonly slots: SlotChanges,
    private readonly takingUp: TakingUp,
  ) {}

  async patch(
    subscriber: Place,
    name: string,
    { publisher, force = false, ...rest }: PatchRequest,
    { dryRun = false }: ChangeOptions,
  ): Promise<Alteration> {
    if (publisher !== undefined && rest.connection !== undefined) {
      throw new Problem('INVALID_INPUT', 'give either publisher or connection', {
        errors: [{ pointer: '#/publisher', detail: 'excludes connection' }],
      });
    }
    // What the request alone, or the version, is refused for is refused before any connection is made.
    checkPatch(rest);
    checkKnownOptions(rest.options ?? {}, (await this.servers.facts(subscriber.server)).versionNum);
    const patch = publisher === undefined ? rest : { ...rest, connection: await this.connectionTo(publisher) };
    const named = publisher === undefined ? 'connection' : 'publisher';
    const conninfo = patch.connection ?? (await this.connectionOf(subscriber, name));
    const place = publisher ?? (await this.publisherBy(conninfo, subscriber));
    const publisherVersion = place === null ? null : (await this.servers.facts(place.server)).versionNum;
    return this.changing(subscriber, name, async (session, current) => {
      const statements = patchStatements(current, patch, session.versionNum, publisherVersion);
      const slots = await this.slots.of(subscriber, current, patch, { publisher: place, named, force });
      const publications = publicationsAfter(current, patch);
      const taken = { publisher: place, conninfo, copyData: patch.copyData, estimated: dryRun };
      const preview = publications === null ? null : await this.takingUp.look(session, current, publications, taken);
      const differing = preview?.differing.columns ?? [];
      await this.requireNoneNew(differing, current.publications, taken);
      const ignored = ignoredOptions(patch.options ?? {}, publisherVersion);
      const warnings = [...ignored, ...slots.warnings, ...columnWarnings({ columns: differing })];
      const planned = plan(subscriber, statements);
      if (!dryRun)
        await this.slots.track(subscriber, current, slots, () =>
          carryOut(session, statements).catch(async (error: unknown) => {
            await this.refuseOtherColumns(error, taken, publications ?? current.publications);
            refuseAbsentTable(error);
          }),
        );
      if (publications !== null && current.enabled) {
        const copied = { name: patch.name ?? name, copyData: patch.copyData, preview };
        warnings.push(...(dryRun ? await beforeTakingUp(session, current, copied) : await takenUp(session, copied)));
      }
      return { statements: planned, ...previewed(preview, warnings, { tables: dryRun && current.enabled }) };
    });
  }

  enable(subscriber: Place, name: string, options: ChangeOptions): Promise<Alteration> {
    const compose = ({ settings }: Subscription) => {
      if (settings.slotName !== null) return enableSubscription(name);
      throw refusal('enabled-to-refresh', 'WRONG_STATE', 'a subscription without a slot cannot be enabled', [], {
        hint: 'Set options.slotName to a slot of the publisher first.',
      });
    };
    return this.run(subscriber, name, options, compose, (session, { oid, tables }) =>
      roomWarnings(session, oid, { copies: tables.some(isUncopied) }),
    );
  }

  /** Also waits, up to 10 s, until its workers have ended. */
  async disable(subscriber: Place, name: string, options: ChangeOptions): Promise<Alteration> {
    const altered = await this.run(subscriber, name, options, () => disableSubscription(name));
    const { server, database } = subscriber;
    if (!options.dryRun) await this.servers.withSession(server, database, (session) => workersGone(session, name));
    return altered;
  }

  async refresh(
    subscriber: Place,
    name: string,
    { copyData, dryRun = false }: ChangeOptions & { copyData?: boolean },
  ): Promise<Alteration> {
    const conninfo = dryRun ? await this.connectionOf(subscriber, name) : undefined;
    const place = await this.publisherBy(conninfo, subscriber);
    return this.changing(subscriber, name, async (session, current) => {
      if (!current.enabled) {
        const detail = 'only an enabled subscription can be refreshed';
        throw refusal('enabled-to-refresh', 'WRONG_STATE', detail, [], { hint: 'Enable it first.' });
      }
      requireCopyAllowed(current, copyData);
      const taken = { publisher: place, conninfo, copyData, estimated: true };
      const preview = dryRun ? await this.takingUp.look(session, current, current.publications, taken) : null;
      const warnings = columnWarnings(preview?.differing ?? { columns: [] });
      const statements = refreshSubscription(name, copyData === undefined ? {} : { copyData });
      const planned = plan(subscriber, statements);
      if (!dryRun) {
        await carryOut(session, statements).catch(async (error: unknown) => {
          const publisher = await this.publisherBy(await this.connectionOf(subscriber, name), subscriber);
          await this.refuseOtherColumns(error, { publisher }, current.publications);
          refuseAbsentTable(error);
        });
      }
      const copied = { name, copyData, preview };
      warnings.push(...(dryRun ? await beforeTakingUp(session, current, copied) : await takenUp(session, copied)));
      return { statements: planned, ...previewed(preview, warnings, { tables: dryRun }) };
    });
  }

  private run(
    subscriber: Place,
    name: string,
    { dryRun = false }: ChangeOptions,
    compose: (current: Subscription) => Statement[],
    warn: (session: Session, current: Subscription) => Promise<SubscriptionWarning[]> = () => Promise.resolve([]),
  ): Promise<Alteration> {
    return this.changing(subscriber, name, async (session, current) => {
      const statements = compose(current);
      const planned = plan(subscriber, statements);
      const warnings = await warn(session, current);
      if (!dryRun) await carryOut(session, statements);
      return { statements: planned, warnings };
    });
  }

  private async changing<T>(
    { server, database }: Place,
    name: string,
    work: (session: Session, current: Subscription) => Promise<T>,
  ): Promise<T> {
    return changing(await this.servers.target(server, database), name, work);
  }

  /** The subscription's connection string; undefined: it is not there, or the login may not read it. */
  private async connectionOf({ server, database }: Place, name: string): Promise<string | undefined> {
    const found = await this.servers.withSession(server, database, (session) =>
      readSubscriptionConnections(session, name),
    );
    return found?.get(name);
  }

  /** The registered server that a connection string leads to; null: none. */
  private async publisherBy(conninfo: string | undefined, { server }: Place): Promise<Place | null> {
    return conninfo === undefined ? null : this.ends.publisherBy(conninfo, server);
  }

  /** Tables that the publications before did not send alike either stand in nobody's way. */
  private async requireNoneNew(
    differing: readonly TableName[],
    before: readonly string[],
    taken: Pick<TakingUpOptions, 'publisher'>,
  ): Promise<void> {
    if (differing.length === 0) return;
    const differed = await this.takingUp.differing(taken, before);
    if (differed === null) return;
    const known = new Set(differed.columns.map(tableKey));
    requireSameColumns({ columns: differing.filter((table) => !known.has(tableKey(table))) });
  }

  /** The server tells that it is so, and of which table, but not what to do. */
  private async refuseOtherColumns(
    error: unknown,
    taken: Pick<TakingUpOptions, 'publisher'>,
    publications: readonly string[],
  ): Promise<void> {
    if (!(error instanceof Problem) || error.options.sqlstate !== '0A000') return;
    const { columns } = (await this.takingUp.differing(taken, publications)) ?? { columns: [] };
    if (columns.length === 0) return;
    const { code, detail, options } = otherColumnsRefused(columns);
    const extra = { ...error.options.extra, ...options.extra };
    throw new Problem(code, detail, { ...options, extra, sqlstate: '0A000', cause: error });
  }

  private async connectionTo({ server, database }: Place): Promise<string> {
    return publisherConninfo(await this.servers.advertisedTarget(server, database));
  }
}

interface Copied {
  /** The subscription's. */
  name: string;
  copyData: boolean | undefined;
  preview: Preview | null;
}

/** Whether tables that are to be taken up find room; which those are may not be known. */
async function beforeTakingUp(
  session: Session,
  { oid, tables }: Subscription,
  { copyData = true, preview }: Copied,
): Promise<SubscriptionWarning[]> {
  const joins = copyData && preview?.tables.added?.length !== 0;
  return joins || tables.some(isUncopied) ? roomWarnings(session, oid, { copies: true }) : [];
}

/** The same of those that were taken up, and are not copied yet. */
async function takenUp(session: Session, { name }: Copied): Promise<SubscriptionWarning[]> {
  const [subscription] = await readSubscriptions(session, name);
  if (!subscription?.tables.some(isUncopied)) return [];
  return roomWarnings(session, subscription.oid, { copies: true });
}

async function workersGone(session: Session, name: string): Promise<void> {
  for (const deadline = Date.now() + WORKER_EXIT_MS; Date.now() < deadline; await delay(50)) {
    const [subscription] = await readSubscriptions(session, name);
    if (!subscription || subscription.enabled || subscription.workers.length === 0) return;
  }
}
