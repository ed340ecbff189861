import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import type { Place } from '../../changes/change.js';
import type { PlanDto } from '../../changes/plan.dto.js';
import { Engine } from '../../engine/engine.js';
import { OperationDto } from '../../operations/operation.dto.js';
import { OperationsService } from '../../operations/operations.service.js';
import { boundedAnswers } from '../../postgres/connection.js';
import { withSession } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { ServerUsage } from '../../servers/server-usage.js';
import { ServersService } from '../../servers/servers.service.js';
import { SubscriptionsService } from '../../subscriptions/subscriptions.service.js';
import type { TableName } from '../at-rest/table-shape.js';
import { checkResync, type ResyncSubject } from './resync-check.js';
import { planResync } from './resync-plan.js';
import { ResyncRepository } from './resync.repository.js';
import { ResyncWorkflow } from './resync.workflow.js';
import { whenApplying } from './worker-back.js';

/** Copying one table of a subscription afresh. */
@Injectable()
export class ResyncService {
  constructor(
    private readonly servers: ServersService,
    private readonly subscriptions: SubscriptionsService,
    private readonly repository: ResyncRepository,
    private readonly operations: OperationsService,
    private readonly engine: Engine,
    private readonly workflow: ResyncWorkflow,
    usage: ServerUsage,
  ) {
    usage.register((server) => repository.usesServer(server));
  }

  /** Rejects (409) where it would not be right, before anything is begun. Waits, up to 10 s, for a worker that is away. */
  async start(subscriber: Place, subscription: string, table: TableName): Promise<OperationDto> {
    const publisher = await this.publisherOf(subscriber, subscription);
    await this.check(publisher, subscriber, subscription, table);
    const { server, database } = subscriber;
    const running = await this.repository.running({ subscriberServer: server, subscriberDatabase: database, ...table });
    if (running !== null) {
      throw new Problem('CONFLICT', `the table is being copied afresh already, by operation ${running}`, {
        extra: { operation: running },
      });
    }
    const id = randomUUID();
    const names = [server, database, subscription, table.schema, table.name];
    const subject = { type: 'table', id: names.map(encodeURIComponent).join('/') };
    await this.operations.create({ id, kind: 'resync', subject });
    await this.repository.insert({
      ...{ id, subscription, ...table },
      ...{ subscriberServer: server, subscriberDatabase: database },
      ...{ publisherServer: publisher.server, publisherDatabase: publisher.database },
    });
    await this.engine.start(this.workflow, id, {});
    return OperationDto.from(await this.operations.get(id));
  }

  async plan(subscriber: Place, subscription: string, table: TableName): Promise<PlanDto> {
    const publisher = await this.publisherOf(subscriber, subscription);
    return planResync(publisher, subscriber, await this.check(publisher, subscriber, subscription, table));
  }

  private async check(publisher: Place, subscriber: Place, name: string, table: TableName): Promise<ResyncSubject> {
    const target = (place: Place) => this.servers.target(place.server, place.database);
    const [ours, theirs] = [await target(publisher), await target(subscriber)];
    const limits = { purpose: 'resync', ...boundedAnswers() };
    return withSession(ours, limits, (source) =>
      withSession(theirs, limits, (sink) => checkResync(source, sink, name, table)),
    );
  }

  private async publisherOf({ server, database }: Place, subscription: string): Promise<Place> {
    const { publisher } = await whenApplying(() => this.subscriptions.get(server, database, subscription));
    if (publisher) return publisher;
    throw new Problem('PREREQUISITE_FAILED', `the publisher of "${subscription}" is not a registered server`, {
      hint: "Register the server that the subscription's connection string leads to.",
    });
  }
}
