import { Injectable } from '@nestjs/common';
import { carryOut, type Change, type ChangeOptions, plan } from '../changes/change.js';
import { registerSecret } from '../observability/redact.js';
import { readPublications } from '../postgres/catalog/publications.js';
import { readSubscriptions } from '../postgres/catalog/subscriptions.js';
import { parseConninfo } from '../postgres/ddl/conninfo.js';
import { createReplicationSlot } from '../postgres/ddl/replication-slot.ddl.js';
import type { SubscriptionOptions } from '../postgres/ddl/subscription-options.js';
import { createSubscription } from '../postgres/ddl/subscription.ddl.js';
import type { Statement } from '../postgres/ddl/statement.js';
import { type Session, withSession } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { ReplicationSlotsService } from '../replication-slots/replication-slots.service.js';
import { ServersService } from '../servers/servers.service.js';
import { slotNameProblem } from '../shared/identifier.js';
import { PG17 } from '../shared/server-version.js';
import { publisherConninfo } from './publisher-connection.js';

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

type ConnectedRequest = CreateSubscriptionRequest & { connection: string };

const STATEMENT_TIMEOUT_MS = 60_000;

/** CREATE SUBSCRIPTION and the slot that goes with it. */
@Injectable()
export class SubscriptionCreation {
  constructor(
    private readonly servers: ServersService,
    private readonly slots: ReplicationSlotsService,
  ) {}

  async create(
    server: string,
    database: string,
    request: CreateSubscriptionRequest,
    options: CreateSubscriptionOptions = {},
  ): Promise<Change<{ name: string }>> {
    const { publisher, connection } = request;
    if ((publisher === undefined) === (connection === undefined)) {
      throw inputError('/publisher', 'give either publisher or connection');
    }
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
    { dryRun = false }: CreateSubscriptionOptions,
  ): Promise<Change<{ name: string }>> {
    const password = parseConninfo(connection).password;
    if (password !== undefined) registerSecret(password);
    if (request.options?.createSlot !== false) requireSlotName(request);
    return this.runCreate(server, database, { ...request, connection }, dryRun);
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
  ): Promise<Change<{ name: string }>> {
    const publisherVersion = await this.checkPublisher(publisher, request);
    const connection = publisherConninfo(await this.servers.advertisedTarget(publisher.server, publisher.database));
    const given = request.options ?? {};
    if (given.createSlot === false || given.slotName === null) {
      return this.runCreate(server, database, { ...request, connection }, dryRun);
    }
    const slotName = requireSlotName(request);
    const slot = { name: slotName, kind: 'logical' as const, ...(given.failover ? { failover: true } : {}) };
    const withoutSlot = { ...request, connection, options: { ...given, createSlot: false, slotName } };
    if (dryRun) {
      const slotPlan = plan(publisher, createReplicationSlot(slot, publisherVersion));
      const { statements } = await this.runCreate(server, database, withoutSlot, true);
      return { statements: [...slotPlan, ...statements], result: null };
    }
    // What the subscriber would refuse is refused before the slot exists.
    await this.inSubscriber(server, database, (session) => checkCreate(session, withoutSlot));
    const created = await this.slots.create(publisher.server, publisher.database, slot, {
      ...(slotDeadlineMs === undefined ? {} : { deadlineMs: slotDeadlineMs }),
    });
    try {
      const change = await this.runCreate(server, database, withoutSlot, false);
      return { statements: [...created.statements, ...change.statements], result: change.result };
    } catch (error) {
      throw await this.withoutOrphan(server, database, publisher.server, request.name, slotName, error);
    }
  }

  private async runCreate(
    server: string,
    database: string,
    request: ConnectedRequest,
    dryRun: boolean,
  ): Promise<Change<{ name: string }>> {
    return this.inSubscriber(server, database, async (session) => {
      const statements = await checkCreate(session, request);
      const planned = plan({ server, database }, statements);
      if (dryRun) return { statements: planned, result: null };
      await carryOut(session, statements);
      return { statements: planned, result: { name: request.name } };
    });
  }

  /** A session of its own: CREATE SUBSCRIPTION waits for the publisher. */
  private async inSubscriber<T>(server: string, database: string, work: (session: Session) => Promise<T>): Promise<T> {
    const target = await this.servers.target(server, database);
    return withSession(target, { purpose: 'create subscription', statementTimeoutMs: STATEMENT_TIMEOUT_MS }, work);
  }

  /** What CREATE SUBSCRIPTION only warns of, or finds out when the apply worker fails. Answers the version. */
  private checkPublisher(
    publisher: { server: string; database: string },
    { publications, options }: CreateSubscriptionRequest,
  ): Promise<number> {
    return this.servers.withSession(publisher.server, publisher.database, async (session) => {
      const existing = new Set((await readPublications(session)).map(({ name }) => name));
      const missing = publications.filter((name) => !existing.has(name));
      if (missing.length > 0) {
        throw new Problem(
          'PREREQUISITE_FAILED',
          `the publisher has no publication ${missing.map((name) => JSON.stringify(name)).join(', ')}`,
          {
            hint: 'Create the publications first.',
            errors: missing.map((name) => ({
              pointer: `#/publications/${publications.indexOf(name)}`,
              detail: 'does not exist on the publisher',
            })),
          },
        );
      }
      if (options?.failover && session.versionNum < PG17) {
        throw new Problem('OPTION_NOT_SUPPORTED', 'a failover slot needs PostgreSQL 17 on the publisher', {
          errors: [{ pointer: '#/options/failover', detail: 'needs PostgreSQL 17 on the publisher' }],
          extra: { option: 'failover', minimumVersion: 17, serverVersion: session.major },
        });
      }
      return session.versionNum;
    });
  }

  /** Drops the slot made for a subscription that came to nothing; where that is not certain, says what is left. */
  private async withoutOrphan(
    server: string,
    database: string,
    publisher: string,
    subscription: string,
    slot: string,
    error: unknown,
  ): Promise<unknown> {
    try {
      const exists = await this.inSubscriber(server, database, (session) => readSubscriptions(session, subscription));
      // The answer was lost, not the deed: the subscription exists and needs its slot.
      if (exists.some(({ settings }) => settings.slotName === slot)) return error;
      await this.slots.drop(publisher, slot);
      return error;
    } catch {
      if (!(error instanceof Problem)) return error;
      const left = { server: publisher, slot };
      return new Problem(error.code, `${error.detail}; the slot ${slot} may be left behind on ${publisher}`, {
        ...error.options,
        extra: { ...error.options.extra, slotLeft: left },
        cause: error,
      });
    }
  }
}

/** The statements, once it is known that the server's version takes them and the name is free. */
async function checkCreate(session: Session, request: ConnectedRequest): Promise<Statement[]> {
  const statements = createSubscription(request, session.versionNum);
  const [existing] = await readSubscriptions(session, request.name);
  if (!existing) return statements;
  throw new Problem('ALREADY_EXISTS', `there is a subscription ${JSON.stringify(request.name)} in this database`);
}

/** A subscription without a slot name of its own takes its own name, which slots allow less for. */
function requireSlotName({ name, options }: CreateSubscriptionRequest): string {
  const slotName = options?.slotName ?? name;
  const problem = slotNameProblem(slotName);
  if (problem === null) return slotName;
  throw inputError('/options/slotName', `the slot is named after the subscription, but a slot name ${problem}`);
}

function inputError(pointer: string, detail: string): Problem {
  return new Problem('INVALID_INPUT', detail, { errors: [{ pointer: `#${pointer}`, detail }] });
}
