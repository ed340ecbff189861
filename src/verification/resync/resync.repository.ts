import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

/** A table of a link to be copied afresh; its id is its operation's. */
export interface Resync {
  id: string;
  subscriberServer: string;
  subscriberDatabase: string;
  subscription: string;
  publisherServer: string;
  publisherDatabase: string;
  schema: string;
  name: string;
}

const SELECT = `
select r.id, r.subscriber_server as "subscriberServer", r.subscriber_database as "subscriberDatabase", r.subscription,
       r.publisher_server as "publisherServer", r.publisher_database as "publisherDatabase", r.schema, r.name
  from lockstep.resync r`;

@Injectable()
export class ResyncRepository {
  constructor(private readonly dataSource: DataSource) {}

  /** Its operation is there already. */
  async insert(resync: Resync): Promise<void> {
    const { id, subscriberServer, subscriberDatabase, subscription, publisherServer, publisherDatabase } = resync;
    await this.dataSource.query(
      `insert into lockstep.resync (id, subscriber_server, subscriber_database, subscription, publisher_server,
                                    publisher_database, schema, name)
       values ($1, $2, $3, $4, $5, $6, $7, $8)`,
      [
        ...[id, subscriberServer, subscriberDatabase, subscription, publisherServer, publisherDatabase],
        ...[resync.schema, resync.name],
      ],
    );
  }

  async find(id: string): Promise<Resync | null> {
    const [found] = await this.dataSource.query<Resync[]>(`${SELECT} where r.id = $1`, [id]);
    return found ?? null;
  }

  /** The one of the table that has not ended. */
  async running(
    table: Pick<Resync, 'subscriberServer' | 'subscriberDatabase' | 'schema' | 'name'>,
  ): Promise<string | null> {
    const [found] = await this.dataSource.query<Resync[]>(
      `${SELECT} join lockstep.operation o on o.id = r.id
        where o.finished_at is null and r.subscriber_server = $1 and r.subscriber_database = $2
          and r.schema = $3 and r.name = $4`,
      [table.subscriberServer, table.subscriberDatabase, table.schema, table.name],
    );
    return found?.id ?? null;
  }

  /** Those that have not ended and use the server, in words. */
  async usesServer(server: string): Promise<string[]> {
    const rows = await this.dataSource.query<{ id: string }[]>(
      `select r.id from lockstep.resync r join lockstep.operation o on o.id = r.id
        where o.finished_at is null and $1 in (r.subscriber_server, r.publisher_server)`,
      [server],
    );
    return rows.map(({ id }) => `resync ${id}`);
  }
}
