import { readReplicationSlots } from '../../postgres/catalog/replication-slots.js';
import { boundedAnswers } from '../../postgres/connection.js';
import type { Statement } from '../../postgres/ddl/statement.js';
import { type Session, withSession } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import type { ServersService } from '../../servers/servers.service.js';
import { publisherConninfo } from '../../subscriptions/publisher-connection.js';
import { knownWriters, type UpgradeFacts } from '../facts.js';
import { type ObjectNames, objectNames } from '../object-names.js';
import { publishedTables, publishing } from '../steps/publication.step.js';
import { barStatements, restoreStatements, type RestoreTo } from '../traffic/bar.js';
import type { FencedRole, FenceRecord } from '../traffic/fence-record.js';
import { planWritersFence } from '../traffic/plan-writers-fence.js';
import type { UpgradeRequest } from '../upgrade-request.js';
import { publisherSlotName } from '../../verification/link/link-objects.js';
import { createOnPublisher } from '../../verification/link/link-plan.js';
import type { Side } from '../workflow/step.js';

/** What a look at a server shows; or why that cannot be told. */
type Looked<T> = T | { unknown: string };

/** Statements that would run, as the server stands now. */
export type Planned = Looked<{ statements: Statement[] }>;

/** What raising or lowering a bar would run, as the server stands now. */
export type Bar = Looked<{ roles: Pick<FencedRole, 'name' | 'method'>[]; statements: string[] }>;

/** What a plan can build on: what was asked for, what was recorded, and what a look at the servers shows. */
export class Known {
  readonly names: ObjectNames;

  private constructor(
    readonly request: Omit<UpgradeRequest, 'name'>,
    readonly facts: UpgradeFacts,
    shortId: string,
    /** As last seen. */
    readonly versions: Record<Side, number>,
    /** How the other side's server reaches each one. Holds passwords. */
    readonly conninfo: Record<Side, string>,
    private readonly servers: ServersService,
  ) {
    this.names = objectNames(shortId);
  }

  static async of(
    servers: ServersService,
    request: Omit<UpgradeRequest, 'name'>,
    shortId: string,
    facts: UpgradeFacts,
  ): Promise<Known> {
    const { source, target } = request;
    const versions = {
      source: (await servers.facts(source.server)).versionNum,
      target: (await servers.facts(target.server)).versionNum,
    };
    const conninfo = {
      source: publisherConninfo(await servers.advertisedTarget(source.server, source.database)),
      target: publisherConninfo(await servers.advertisedTarget(target.server, target.database)),
    };
    return new Known(request, facts, shortId, versions, conninfo, servers);
  }

  /** @param recorded the plan of a fence that was begun already; else it is planned as it would be now */
  raised(side: Side, recorded?: FenceRecord): Promise<Bar> {
    return this.look(side, async (session, user) => {
      const record =
        recorded ?? (await planWritersFence(session, this.request.writerRoles, user, knownWriters(this.facts, side)));
      return { roles: record.roles, statements: await barStatements(session, record) };
    });
  }

  lowered(side: Side, record: FenceRecord | undefined, to: RestoreTo): Promise<Bar> {
    if (!record) return Promise.resolve({ roles: [], statements: [] });
    return this.look(side, async (session) => ({
      roles: record.roles,
      statements: await restoreStatements(session, record, to),
    }));
  }

  /** What would make the publication hold every carried table, as the server stands now. */
  publishing(side: Side, publication: string): Promise<Planned> {
    return this.look(side, async (session) => ({
      statements: await publishing(session, publication, publishedTables(this)),
    }));
  }

  /** What would create the slot of the source that its change stream is read from, as the server stands now. */
  openingStream(): Promise<Planned> {
    const { readers } = this.names;
    return this.look('source', async (session) => {
      const [slot] = await readReplicationSlots(session, publisherSlotName(readers));
      return { statements: slot && slot.walStatus !== 'lost' ? [] : createOnPublisher(readers) };
    });
  }

  private async look<T>(side: Side, work: (session: Session, user: string) => Promise<T>): Promise<Looked<T>> {
    const { server, database } = this.request[side];
    const limits = { purpose: 'plan', connectTimeoutMs: 5_000, ...boundedAnswers(10_000) };
    try {
      const target = await this.servers.target(server, database);
      return await withSession(target, limits, (session) => work(session, target.user));
    } catch (error) {
      if (!(error instanceof Problem) || error.code === 'INTERNAL') throw error;
      return { unknown: error.detail };
    }
  }
}
