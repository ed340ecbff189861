import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { cursorKey, type Page, pageOf } from '../api/page.js';
import type { Place, PlannedStatement } from '../changes/change.js';
import { Engine } from '../engine/engine.js';
import { Operations } from '../operations/operations.js';
import { Problem } from '../problems/problem.js';
import { ServerUsage } from '../servers/server-usage.js';
import { ServersService } from '../servers/servers.service.js';
import { LinksService } from '../links/links.service.js';
import { AtRestWorkflow } from './at-rest.workflow.js';
import type { Pacing } from './at-rest/pacing.js';
import type { TableName } from './at-rest/table-shape.js';
import { planRemoval, planVerification, type VerificationPlan } from './verification-plan.js';
import type { VerificationKind } from './verification.entity.js';
import { type ListedVerification, type StoredTable, VerificationRepository } from './verification.repository.js';

export interface VerificationRequest {
  kind: VerificationKind;
  subscriber: { server: string; database: string; subscription: string };
  /** Null: every table of the link. */
  tables: TableName[] | null;
  singleLsn: boolean;
  maxParallel: number;
  /** Of what is not at one LSN. */
  pacing: Pacing;
}

export interface VerificationView extends ListedVerification {
  results: StoredTable[];
}

const ENDED = new Set(['succeeded', 'failed', 'cancelled']);

/** Verifications as callers see them. */
@Injectable()
export class VerificationsService {
  constructor(
    private readonly repository: VerificationRepository,
    private readonly servers: ServersService,
    private readonly links: LinksService,
    private readonly operations: Operations,
    private readonly engine: Engine,
    private readonly workflow: AtRestWorkflow,
    usage: ServerUsage,
  ) {
    usage.register((server) => repository.usesServer(server));
  }

  async create(request: VerificationRequest): Promise<VerificationView> {
    const { server, database, subscription } = request.subscriber;
    const publisher = await this.publisherOf(request);
    const id = randomUUID();
    await this.repository.insert({
      id,
      kind: request.kind,
      subscriberServer: server,
      subscriberDatabase: database,
      subscription,
      publisherServer: publisher.server,
      publisherDatabase: publisher.database,
      tables: request.tables && distinct(request.tables),
      singleLsn: request.singleLsn,
      maxParallel: request.maxParallel,
      pacing: request.singleLsn ? null : request.pacing,
    });
    const subject = { type: 'link', id: [server, database, subscription].map(encodeURIComponent).join('/') };
    await this.operations.create({ id, kind: 'verification', subject });
    await this.engine.start(this.workflow, id, {});
    return this.get(id);
  }

  /** What `create` would compare and how, by a look at both servers. */
  async plan(request: VerificationRequest): Promise<VerificationPlan> {
    const publisher = await this.publisherOf(request);
    return await planVerification(this.servers, publisher, request);
  }

  async get(id: string): Promise<VerificationView> {
    const verification = await this.find(id);
    return { ...verification, results: await this.repository.tables(id) };
  }

  /** Newest first, without the tables. */
  async list(limit: number, cursor?: string): Promise<Page<VerificationView>> {
    const key = cursorKey(cursor, 'time', 'uuid');
    const before = key && { createdAt: key[0]!, id: key[1]! };
    const page = pageOf(await this.repository.page(limit + 1, before), limit, (row) => [row.createdAtText, row.id]);
    return { ...page, items: page.items.map((row) => ({ ...row, besideRows: null, results: [] })) };
  }

  async cancel(id: string): Promise<VerificationView> {
    await this.requireCancellable(id);
    await this.engine.cancel(id);
    return this.get(id);
  }

  /** What `cancel` has removed on the servers. */
  async planCancel(id: string): Promise<PlannedStatement[]> {
    return planRemoval(await this.requireCancellable(id));
  }

  private async publisherOf({ subscriber }: VerificationRequest): Promise<Place> {
    const { server, database, subscription } = subscriber;
    const { publisher } = await this.links.get(server, database, subscription);
    if (publisher) return publisher;
    throw new Problem('PREREQUISITE_FAILED', `the publisher of "${subscription}" is not known`, {
      hint:
        "Register the server that the subscription's connection string leads to (host and port, or advertisedHost " +
        'and advertisedPort), and let the login of the subscriber read pg_subscription.subconninfo.',
    });
  }

  private async requireCancellable(id: string): Promise<ListedVerification> {
    const verification = await this.find(id);
    if (!ENDED.has(verification.state)) return verification;
    throw new Problem('WRONG_STATE', `the verification has already ${verification.state}`);
  }

  private async find(id: string): Promise<ListedVerification> {
    const verification = await this.repository.find(id);
    if (!verification) throw new Problem('NOT_FOUND', `there is no verification ${id}`);
    return verification;
  }
}

function distinct(tables: readonly TableName[]): TableName[] {
  return [...new Map(tables.map(({ schema, name }) => [JSON.stringify([schema, name]), { schema, name }])).values()];
}
