import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { formatLsn, type Lsn } from '../shared/lsn.js';

/** A subscription by what stays when it is renamed. */
export interface SubscriptionId {
  server: string;
  database: string;
  oid: number;
}

interface TableName {
  schema: string;
  name: string;
}

/** Why a table may differ. */
export interface VerificationNeed {
  reason: string;
  /** Start of the commit record of the publisher's transaction by which it may. */
  lsn: string;
  since: Date;
}

/** Subscribed tables that are known to may have lost changes, until a verification has shown them equal. */
@Injectable()
export class TablesNeedingVerification {
  constructor(private readonly dataSource: DataSource) {}

  /** Of one that is marked already the later LSN counts. */
  async mark(
    { server, database, oid }: SubscriptionId,
    tables: readonly TableName[],
    lsn: Lsn,
    reason: string,
  ): Promise<void> {
    await this.dataSource.query(
      `insert into lockstep.table_needing_verification (server, database, subscription_oid, schema, name, lsn, reason)
       select $1, $2, $3, t.schema, t.name, $5::pg_lsn, $6 from jsonb_to_recordset($4::jsonb) t(schema text, name text)
       on conflict (server, database, subscription_oid, schema, name)
       do update set lsn = excluded.lsn, reason = excluded.reason, since = now()
         where excluded.lsn > table_needing_verification.lsn
            or excluded.lsn = table_needing_verification.lsn and excluded.reason <> table_needing_verification.reason`,
      [server, database, oid, JSON.stringify(tables), formatLsn(lsn), reason],
    );
  }

  /** By database: subscription oid, schema and name. */
  async of(server: string, database: string): Promise<(TableName & VerificationNeed & { oid: number })[]> {
    return this.dataSource.query(
      `select subscription_oid::float8 as oid, schema, name, lsn::text as lsn, reason, since
         from lockstep.table_needing_verification where server = $1 and database = $2`,
      [server, database],
    );
  }

  /** Of a subscription that is no more. */
  async forget({ server, database, oid }: SubscriptionId): Promise<void> {
    await this.dataSource.query(
      `delete from lockstep.table_needing_verification where server = $1 and database = $2 and subscription_oid = $3`,
      [server, database, oid],
    );
  }

  /**
   * Takes the mark from tables that were shown equal at an LSN (`X/Y`) past that of the mark, by what began after it was
   * made, at `begun` (text, by the clock of our own state): what was prepared when it was lost is equal until it is
   * committed. Verifying begins with a slot, and none is made while anything is prepared.
   */
  async clear(
    { server, database, oid }: SubscriptionId,
    equal: readonly (TableName & { verifiedLsn: string })[],
    begun: string,
  ): Promise<void> {
    await this.dataSource.query(
      `delete from lockstep.table_needing_verification n
        using jsonb_to_recordset($4::jsonb) t(schema text, name text, "verifiedLsn" pg_lsn)
        where n.server = $1 and n.database = $2 and n.subscription_oid = $3
          and n.schema = t.schema and n.name = t.name and t."verifiedLsn" > n.lsn
          and n.since < $5::timestamptz`,
      [server, database, oid, JSON.stringify(equal), begun],
    );
  }
}
