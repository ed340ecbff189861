import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

export const NOT_CREATED = 0;

/** A slot that a subscription had when it was dropped without it. */
export interface LeftSlot {
  id: string;
  slot: string;
  /** Null: the publisher was not registered. */
  publisherServer: string | null;
  /** Of the publisher, where it was registered. */
  systemIdentifier: string | null;
  publisherDatabase: string;
  /** By the connection string; empty: it could not be read. */
  host: string;
  port: string;
  subscriberServer: string;
  subscriberDatabase: string;
  subscription: string;
  /** NOT_CREATED: the slot was made for a subscription that may have come to nothing. */
  subscriptionOid: number;
  leftAt: Date;
  /** False: it was recorded, but not learnt yet whether the subscription was dropped. */
  dropped: boolean;
}

/** Before the subscription is dropped. */
export type LeavingSlot = Omit<LeftSlot, 'id' | 'leftAt' | 'dropped'>;

const COLUMNS = `id, slot, publisher_server as "publisherServer", system_identifier as "systemIdentifier",
  publisher_database as "publisherDatabase", host, port, subscriber_server as "subscriberServer",
  subscriber_database as "subscriberDatabase", subscription, subscription_oid::float8 as "subscriptionOid", left_at as "leftAt", dropped`;

/** Slots left behind, until they are found gone. */
@Injectable()
export class LeftSlotRepository {
  constructor(private readonly dataSource: DataSource) {}

  /** Recorded again, it is the same, but each creation has a record of its own. Answers its id. */
  async record(left: LeavingSlot): Promise<string> {
    const [row]: { id: string }[] = await this.dataSource.query(
      `insert into lockstep.left_slot (slot, publisher_server, system_identifier, publisher_database, host, port,
                                       subscriber_server, subscriber_database, subscription, subscription_oid)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
       on conflict (subscriber_server, subscriber_database, subscription_oid, slot, host, port)
         where subscription_oid <> ${NOT_CREATED}
       do update set left_at = now(), dropped = false, subscription = excluded.subscription, publisher_server = excluded.publisher_server,
         system_identifier = excluded.system_identifier, publisher_database = excluded.publisher_database
       returning id`,
      [
        ...[left.slot, left.publisherServer, left.systemIdentifier, left.publisherDatabase, left.host, left.port],
        ...[left.subscriberServer, left.subscriberDatabase, left.subscription, left.subscriptionOid],
      ],
    );
    return row!.id;
  }

  /** Oldest first, by milliseconds. */
  async all(): Promise<LeftSlot[]> {
    return this.dataSource.query(
      `select ${COLUMNS} from lockstep.left_slot order by date_trunc('milliseconds', left_at), id::text`,
    );
  }

  async find(id: string): Promise<LeftSlot | null> {
    const [row]: LeftSlot[] = await this.dataSource.query(`select ${COLUMNS} from lockstep.left_slot where id = $1`, [
      id,
    ]);
    return row ?? null;
  }

  /** Says of which cluster it is, where that was not known. */
  async identify(id: string, systemIdentifier: string): Promise<void> {
    await this.dataSource.query(
      `update lockstep.left_slot set system_identifier = $2 where id = $1 and system_identifier is null`,
      [id, systemIdentifier],
    );
  }

  /** Their subscription was dropped. */
  async confirm(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    await this.dataSource.query(`update lockstep.left_slot set dropped = true where id = any ($1)`, [ids]);
  }

  async forget(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    await this.dataSource.query(`delete from lockstep.left_slot where id = any ($1)`, [ids]);
  }
}
