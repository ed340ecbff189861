import { Injectable } from '@nestjs/common';
import { carryOut, type Change, type ChangeOptions, type Place, plan } from '../changes/change.js';
import { failpoint } from '../engine/failpoints.js';
import { registerSecret } from '../observability/redact.js';
import { readTableNames } from '../postgres/catalog/subscriber-rows.js';
import { readSubscriptionSlots } from '../postgres/catalog/subscription-slots.js';
import { readSubscriptions } from '../postgres/catalog/subscriptions.js';
import { ANSWER_GRACE_MS } from '../postgres/connection.js';
import { parseConninfo } from '../postgres/ddl/conninfo.js';
import { createReplicationSlot } from '../postgres/ddl/replication-slot.ddl.js';
import { refusal } from '../postgres/ddl/options/combination-rules.js';
import { checkCreateOptions, type SubscriptionOptions } from '../postgres/ddl/subscription-options.js';
import { createSubscription } from '../postgres/ddl/subscription.ddl.js';
import type { Statement } from '../postgres/ddl/statement.js';
import { type Session, withSession } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { isRefusal, ReplicationSlotsService } from '../replication-slots/replication-slots.service.js';
import { ServersService } from '../servers/servers.service.js';
import { LeftSlots } from './left-slots/left-slots.service.js';
import { estimateCopy } from './copy-estimate.js';
import {
  inputError,
  type Offer,
  offerWarnings,
  readOffer,
  requirePublications,
  requireSameColumns,
  requireSlotName,
  requireTables,
  takenUp,
} from './creation-checks.js';
import {
  type CreationWay,
  explainCreationFailure,
  explainRefusedSlot,
  mayBeAnothers,
  mayBeLeft,
} from './creation-failure.js';
import { publisherConninfo, turnsRowSecurityOff } from './publisher-connection.js';
import { type KnownOffer, offerBehind, unlookedWarnings } from './led-to-publisher.js';
import { PublisherEnds } from './publisher-ends.js';
import { serverNamed } from './publisher-lookup.js';
import { refuseAbsentTable, type RefreshPreview } from './refresh-preview.js';
import { requireSlot } from './slot-as-made.js';
import { readsFrom } from './slot-reading.js';
import { roomWarnings } from './subscriber-room.js';
import { ignoredOptions, type SubscriptionWarning } from './subscription-warnings.js';
import { hasSlot, locationOf, slotDoubt } from './unregistered-publisher.js';

export interface CreateSubscriptionRequest {
  name: string;
  /** A registered server; else `connection`. */
  publisher?: { server: string; database: string };
  /** libpq connection string; a secret. */
  connection?: string;
  publications: string[];
  options?: SubscriptionOptions;
}

export interface CreateSubscriptionOptions extends ChangeOptions {
  /** How long the slot's creation may wait for running transactions. */
  slotDeadlineMs?: number;
}

export interface Creation extends Change<{ name: string }> {
  warnings: SubscriptionWarning[];
  /** In dry runs only. */
  tables?: RefreshPreview;
}

type ConnectedRequest = CreateSubscriptionRequest &
  KnownOffer & {
    connection: string;
    /** Null: the publisher is not a registered server. */
    publisherVersion: number | null;
  };

interface RunOptions {
  dryRun?: boolean;
  timeoutMs?: number;
  /** Called right before CREATE SUBSCRIPTION is sent. */
  sending?: () => unknown;
  /** What is known already. */
  warnings?: SubscriptionWarning[];
}

/** Whether this creation has made its slot; null: that is not known. */
interface SlotFate {
  made: boolean | null;
  /** Whether CREATE SUBSCRIPTION was sent. */
  sent: boolean;
}

const STATEMENT_TIMEOUT_MS = 60_000;

/** CREATE SUBSCRIPTION and the slot that goes with it. */
@Injectable()
export class SubscriptionCreation {
  constructor(
    private readonly servers: ServersService,
    private readonly slots: ReplicationSlotsService,
    private readonly ends: PublisherEnds,
    private readonly left: LeftSlots,
  ) {}

  async create(
    server: string,
    database: string,
    request: CreateSubscriptionRequest,
    options: CreateSubscriptionOptions = {},
  ): Promise<Creation> {
    const { publisher, connection } = request;
    if ((publisher === undefined) === (connection === undefined)) {
      throw inputError('/publisher', 'give either publisher or connection');
    }
    // What the version does not take is refused before any connection is made.
    checkCreateOptions(request.options ?? {}, (await this.servers.facts(server)).versionNum);
    return publisher === undefined
      ? this.createUnmanaged(server, database, request, connection!, options)
      : this.createManaged(server, database, request, publisher, options);
  }

  /** The publisher is not ours: the subscriber creates the slot there itself. */
  private async createUnmanaged(
    server: string,
    database: string,
    request: CreateSubscriptionRequest,
    connection: string,
    { dryRun = false, slotDeadlineMs = STATEMENT_TIMEOUT_MS }: CreateSubscriptionOptions,
  ): Promise<Creation> {
    const password = parseConninfo(connection).password;
    if (password !== undefined) registerSecret(password);
    const makesSlot = request.options?.createSlot !== false;
    if (makesSlot) requireSlotName(request);
    const known = await this.ends.publisherBy(connection, server);
    // As last seen: a publisher that is away, or that only the subscriber reaches, is no reason not to ask the latter.
    const publisherVersion = known === null ? null : (await this.servers.facts(known.server)).versionNum;
    if (makesSlot && known !== null) await this.refuseOwnCluster(server, known.server);
    const found = await offerBehind(this.servers, known, server, { ...request, connection }, { estimated: dryRun });
    const warnings = unlookedWarnings(found);
    if (!makesSlot) warnings.push(...(await requireSlot(this.servers, server, request, known)));
    const create = (fate: SlotFate = { made: false, sent: false }) => {
      const asked = { ...request, connection, publisherVersion, ...found };
      // Where the subscriber fails it does not say whether it had made the slot.
      const sending = () => Object.assign(fate, { made: null, sent: true });
      return this.runCreate(server, database, asked, { dryRun, timeoutMs: slotDeadlineMs, sending, warnings });
    };
    const way: CreationWay = {
      ...{ connection: parseConninfo(connection), subscriber: serverNamed(server, await this.ends.addresses()) },
      ...{ waitedMs: slotDeadlineMs, readBlockers: known === null ? null : () => this.slots.blockers(known.server) },
    };
    const slot = makesSlot && !dryRun ? requireSlotName(request) : null;
    if (slot !== null && known === null) return this.recorded({ server, database }, request.name, slot, way, create);
    try {
      if (slot === null || !(await this.ends.isWithoutSlot(known!.server, slot))) return await create();
      return await this.guarded({ server, database }, known!, request.name, slot, create);
    } catch (error) {
      throw explainRefusedSlot((await explainCreationFailure(error, way)).explained);
    }
  }

  /**
   * The slot is created first, on the publisher: with a deadline that names what is in the way, and without the trap
   * that CREATE SUBSCRIPTION waits for itself when both databases are of one cluster.
   */
  private async createManaged(
    server: string,
    database: string,
    request: CreateSubscriptionRequest,
    publisher: { server: string; database: string },
    { dryRun = false, slotDeadlineMs }: CreateSubscriptionOptions,
  ): Promise<Creation> {
    const given = request.options ?? {};
    const offer = await this.offerOf(publisher, request.publications, server);
    if (dryRun && given.copyData !== false) {
      offer.copy = await estimateCopy(this.servers, publisher, offer.tables, request.publications);
    }
    const publisherVersion = offer.versionNum;
    const connection = publisherConninfo(await this.servers.advertisedTarget(publisher.server, publisher.database));
    if (given.createSlot === false || given.slotName === null) {
      const warnings = await requireSlot(this.servers, server, request, publisher);
      const asked = { ...request, connection, publisherVersion, offer };
      return this.runCreate(server, database, asked, { dryRun, warnings });
    }
    const slotName = requireSlotName(request);
    const slot = { name: slotName, kind: 'logical' as const, ...(given.failover ? { failover: true } : {}) };
    const options = { ...given, createSlot: false, slotName };
    const withoutSlot = { ...request, connection, publisherVersion, offer, options };
    // What the subscriber would refuse is refused before the slot exists.
    await this.inSubscriber(server, database, (session) => checkCreate(session, withoutSlot));
    await this.slots.requireFree(publisher.server, slotName);
    if (dryRun) {
      const slotPlan = plan(publisher, createReplicationSlot(slot, publisherVersion));
      const planned = await this.runCreate(server, database, withoutSlot, { dryRun });
      return { ...planned, statements: [...slotPlan, ...planned.statements] };
    }
    const deadline = slotDeadlineMs === undefined ? {} : { deadlineMs: slotDeadlineMs };
    return this.guarded({ server, database }, publisher, request.name, slotName, async (fate) => {
      const onMade = (made: boolean | null) => (fate.made = made);
      const created = await this.slots.create(publisher.server, publisher.database, slot, { ...deadline, onMade });
      await failpoint('subscription.create.slot');
      const change = await this.runCreate(server, database, withoutSlot, { sending: () => (fate.sent = true) });
      return { ...change, statements: [...created.statements, ...change.statements] };
    });
  }

  private async refuseOwnCluster(server: string, publisher: string): Promise<void> {
    const [ours, theirs] = await Promise.all([server, publisher].map((each) => this.servers.facts(each)));
    if (ours!.systemIdentifier !== theirs!.systemIdentifier) return;
    const detail = `${publisher} is of the same cluster as ${server}: the slot would wait for the creation, which waits for the slot`;
    throw refusal('slot-of-same-cluster', 'CONFLICT', detail, [{ pointer: '#/connection', detail }], {
      extra: { publisher },
    });
  }

  private async runCreate(
    server: string,
    database: string,
    request: ConnectedRequest,
    { dryRun = false, timeoutMs = STATEMENT_TIMEOUT_MS, sending = () => {}, warnings: known = [] }: RunOptions = {},
  ): Promise<Creation> {
    const options = request.options ?? {};
    const complete = turnsRowSecurityOff(parseConninfo(request.connection).options ?? '');
    const asked = { ...options, complete };
    const create = async (session: Session): Promise<Creation> => {
      const warnings = [
        ...ignoredOptions(options, request.publisherVersion),
        ...(request.offer === undefined ? [] : offerWarnings(request.offer, session.versionNum, asked)),
        ...known,
      ];
      const statements = await checkCreate(session, request, { dryRun });
      if (runsAtOnce(options)) {
        const copies = options.copyData !== false && request.offer?.tables.length !== 0;
        warnings.push(...(await roomWarnings(session, null, { copies })));
      }
      const planned = plan({ server, database }, statements);
      if (dryRun)
        return { statements: planned, result: null, warnings, tables: takenUp(request.offer, request.unknown) };
      sending();
      await carryOut(session, statements).catch(refuseAbsentTable);
      return { statements: planned, result: { name: request.name }, warnings };
    };
    return this.inSubscriber(server, database, create, timeoutMs);
  }

  /** A session of its own: CREATE SUBSCRIPTION waits for the publisher. */
  private async inSubscriber<T>(
    server: string,
    database: string,
    work: (session: Session) => Promise<T>,
    statementTimeoutMs = STATEMENT_TIMEOUT_MS,
  ): Promise<T> {
    const target = await this.servers.target(server, database);
    const answerWithinMs = statementTimeoutMs + ANSWER_GRACE_MS;
    return withSession(target, { purpose: 'create subscription', statementTimeoutMs, answerWithinMs }, work);
  }

  private async offerOf(publisher: Place, publications: readonly string[], subscriber: string): Promise<Offer> {
    const { versionNum } = await this.servers.facts(subscriber);
    return this.servers.withSession(publisher.server, publisher.database, async (session) => {
      await requirePublications(session, publications);
      return readOffer(session, publications, versionNum, null);
    });
  }

  /** Creates a slot with its subscription; the slot is recorded before, so that it is known whatever dies meanwhile. */
  private async guarded(
    subscriber: Place,
    publisher: Place,
    subscription: string,
    slot: string,
    create: (fate: SlotFate) => Promise<Creation>,
  ): Promise<Creation> {
    const record = await this.left.recordCreation(subscriber, publisher, subscription, slot);
    const fate: SlotFate = { made: false, sent: false };
    try {
      const creation = await create(fate);
      await this.left.forget([record]);
      return creation;
    } catch (error) {
      if (fate.made !== false) {
        throw await this.withoutOrphan(subscriber, publisher, subscription, slot, { record, ...fate }, error);
      }
      await this.left.forget([record]);
      throw error;
    }
  }

  /**
   * The same where the publisher is no registered server: what became of the slot is told by the subscriber's words only.
   * One that is there already is another's, and so may be one that could not be looked for.
   */
  private async recorded(
    subscriber: Place,
    subscription: string,
    slot: string,
    way: CreationWay,
    create: (fate: SlotFate) => Promise<Creation>,
  ): Promise<Creation> {
    const fate: SlotFate = { made: false, sent: false };
    const look = () => hasSlot(way.connection, way.subscriber, slot);
    const wasThere = await look();
    if (wasThere === true) {
      return create(fate).catch(async (error: unknown) => {
        throw explainRefusedSlot((await explainCreationFailure(error, way)).explained);
      });
    }
    const location = locationOf(way.connection);
    const record = await this.left.recordCreationAt(subscriber, location, subscription, slot);
    try {
      const creation = await create(fate);
      await this.left.forget([record]);
      return creation;
    } catch (error) {
      const { explained, refusedLogin } = await explainCreationFailure(error, way);
      const doubt = fate.sent && !refusedLogin ? await slotDoubt(error, wasThere, look) : null;
      const where = location.host || 'its publisher';
      if (doubt === 'may-be-left') throw mayBeLeft(explained, null, slot, where);
      if (doubt === 'unknown') throw mayBeAnothers(explainRefusedSlot(explained), slot, where);
      await this.left.forget([record]);
      throw explainRefusedSlot(explained);
    }
  }

  /**
   * Drops the slot that was made for a subscription that came to nothing; where that is not certain, says what may be
   * left. One of which it is not known who made it may be another's by now: that is left to whoever asks for it.
   */
  private async withoutOrphan(
    subscriber: Place,
    publisher: Place,
    subscription: string,
    slot: string,
    { record, made, sent }: SlotFate & { record: string },
    error: unknown,
  ): Promise<unknown> {
    let needed: boolean | null = !sent || (made && isRefusal(error)) ? false : null;
    try {
      needed ??= await this.isCreated(subscriber, publisher, subscription, slot);
      if (needed === null) return mayBeLeft(error, publisher.server, slot);
      if (!needed && !(await this.ends.isWithoutSlot(publisher.server, slot))) {
        if (made === null) return mayBeLeft(error, publisher.server, slot);
        await this.slots.drop(publisher.server, slot, { isNew: true });
      }
      await this.left.forget([record]);
      return error;
    } catch {
      // Else a look at the subscriber decides.
      if (needed === false && made) await this.left.confirm([record]);
      return mayBeLeft(error, publisher.server, slot);
    }
  }

  /**
   * Whether the answer was lost, not the deed: the subscription exists and needs its slot. Another of that name, made
   * meanwhile, may read from elsewhere; null: it cannot be told from where.
   */
  private async isCreated(
    { server, database }: Place,
    publisher: Place,
    subscription: string,
    slot: string,
  ): Promise<boolean | null> {
    const existing = await this.inSubscriber(server, database, readSubscriptionSlots);
    const found = existing.find((each) => each.database === database && each.name === subscription);
    if (found?.slotName !== slot) return false;
    return readsFrom(found, server, publisher, await this.ends.addresses());
  }
}

function runsAtOnce({ enabled = true, slotName }: SubscriptionOptions): boolean {
  return enabled && slotName !== null;
}

/** The statements, once it is known that the server's version takes them and the name is free. */
async function checkCreate(
  session: Session,
  request: ConnectedRequest,
  { dryRun = false }: ChangeOptions = {},
): Promise<Statement[]> {
  const statements = createSubscription(request, session.versionNum, request.publisherVersion ?? undefined);
  const [existing] = await readSubscriptions(session, request.name);
  if (existing) {
    throw new Problem('ALREADY_EXISTS', `there is a subscription ${JSON.stringify(request.name)} in this database`);
  }
  if (request.offer !== undefined) {
    requireSameColumns(request.offer.differing);
    // By a connection string the subscriber looks itself, once the publisher has let that login in.
    const looksItself = request.publisher === undefined && !dryRun;
    if (!looksItself) requireTables(request.offer.tables, await readTableNames(session));
  }
  return statements;
}
