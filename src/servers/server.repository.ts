import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { ServerEntity } from './server.entity.js';

/** What tells whether two registered servers are one, or members of one cluster. */
export interface ServerIdentity {
  name: string;
  systemIdentifier: string;
  postmasterStartedAt: string;
  inRecovery: boolean;
}

@Injectable()
export class ServerRepository {
  constructor(private readonly dataSource: DataSource) {}

  private get servers() {
    return this.dataSource.getRepository(ServerEntity);
  }

  find(name: string): Promise<ServerEntity | null> {
    return this.servers.findOneBy({ name });
  }

  page(limit: number, after: string | null): Promise<ServerEntity[]> {
    const query = this.servers.createQueryBuilder('s').orderBy('s.name').limit(limit);
    if (after !== null) query.where('s.name > :after', { after });
    return query.getMany();
  }

  /** False when the name is taken. */
  async insert(server: ServerEntity): Promise<boolean> {
    const inserted = await this.servers
      .createQueryBuilder()
      .insert()
      .values(server as object)
      .orIgnore()
      .returning('name')
      .execute();
    return (inserted.raw as unknown[]).length === 1;
  }

  /** False when the server was changed or removed since it was read at `revision`. */
  async replace(server: ServerEntity, revision: string): Promise<boolean> {
    const { name, createdAt: _createdAt, ...changed } = server;
    const { affected } = await this.servers
      .createQueryBuilder()
      .update()
      .set({ ...changed, updatedAt: () => 'now()' } as object)
      .where({ name, revision })
      .execute();
    return affected === 1;
  }

  async remove(name: string): Promise<boolean> {
    return (await this.servers.delete({ name })).affected === 1;
  }

  /** Notes what a look at the server showed, unless its settings were changed meanwhile. */
  async noteCheck(
    name: string,
    revision: string,
    seen: Partial<Pick<ServerEntity, 'facts' | 'factsAt' | 'problem' | 'checkedAt'>>,
  ): Promise<void> {
    await this.servers
      .createQueryBuilder()
      .update()
      .set(seen as object)
      .where({ name, revision })
      .execute();
  }

  /** The servers that share one of the system identifiers. */
  relatives(systemIdentifiers: string[]): Promise<ServerIdentity[]> {
    return this.dataSource.query(
      `select name, facts ->> 'systemIdentifier' as "systemIdentifier",
              facts ->> 'postmasterStartedAt' as "postmasterStartedAt", (facts ->> 'inRecovery')::boolean as "inRecovery"
         from lockstep.server where facts ->> 'systemIdentifier' = any($1) order by name`,
      [systemIdentifiers],
    );
  }
}
