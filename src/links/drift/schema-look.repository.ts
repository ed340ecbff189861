import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { Fingerprints, LinkName } from '../link-looks.js';

export type DriftState = 'none' | 'drifted' | 'unknown';

/** What the last look at the schemas of a link found. */
export interface SchemaLook extends LinkName {
  state: DriftState;
  /** The first differences, or why nothing is known; null: there is none. */
  reason: string | null;
  /** Null: it could not be looked at. */
  basis: string | null;
  publisherFingerprint: string | null;
  subscriberFingerprint: string | null;
  /** Since when it has been found drifted; kept while it is unknown. Null: it was not, at last. */
  driftedSince: Date | null;
  checkedAt: Date;
}

const COLUMNS = `subscriber_server as server, subscriber_database as database, subscription, state, reason, basis,
  publisher_fingerprint as "publisherFingerprint", subscriber_fingerprint as "subscriberFingerprint",
  drifted_since as "driftedSince", checked_at as "checkedAt"`;

/** The last look at each link. All times are of the state database's clock, which every instance shares. */
@Injectable()
export class SchemaLookRepository {
  constructor(private readonly dataSource: DataSource) {}

  async all(): Promise<SchemaLook[]> {
    return this.dataSource.query(`select ${COLUMNS} from lockstep.schema_look`);
  }

  async find({ server, database, subscription }: LinkName): Promise<SchemaLook | null> {
    const [row]: SchemaLook[] = await this.dataSource.query(
      `select ${COLUMNS} from lockstep.schema_look
        where subscriber_server = $1 and subscriber_database = $2 and subscription = $3`,
      [server, database, subscription],
    );
    return row ?? null;
  }

  /** Links that were looked at within the time, by whatever instance. */
  async recent(seconds: number): Promise<LinkName[]> {
    return this.dataSource.query(
      `select subscriber_server as server, subscriber_database as database, subscription from lockstep.schema_look
        where checked_at > clock_timestamp() - make_interval(secs => $1)`,
      [seconds],
    );
  }

  /** A look at a server that was removed meanwhile is forgotten: null. */
  async record(
    { server, database, subscription }: LinkName,
    found: { state: DriftState; reason: string | null; fingerprints: Fingerprints | null },
  ): Promise<SchemaLook | null> {
    const { state, reason, fingerprints } = found;
    const [row]: SchemaLook[] = await this.dataSource.query(
      `insert into lockstep.schema_look as l (subscriber_server, subscriber_database, subscription, state, reason, basis,
              publisher_fingerprint, subscriber_fingerprint, drifted_since, checked_at)
       select name, $2, $3, $4, $5, $6, $7, $8, case when $4 = 'drifted' then clock_timestamp() end, clock_timestamp()
         from lockstep.server where name = $1 for key share
       on conflict (subscriber_server, subscriber_database, subscription) do update
          set state = excluded.state, reason = excluded.reason, basis = excluded.basis,
              publisher_fingerprint = excluded.publisher_fingerprint,
              subscriber_fingerprint = excluded.subscriber_fingerprint, checked_at = excluded.checked_at,
              drifted_since = case excluded.state when 'none' then null
                                else coalesce(l.drifted_since, excluded.drifted_since) end
       returning ${COLUMNS}`,
      [
        ...[server, database, subscription, state, reason, fingerprints?.basis ?? null],
        ...[fingerprints?.publisher ?? null, fingerprints?.subscriber ?? null],
      ],
    );
    return row ?? null;
  }

  /** Nothing that matters has changed. */
  async confirm({ server, database, subscription }: LinkName): Promise<void> {
    await this.dataSource.query(
      `update lockstep.schema_look set checked_at = clock_timestamp()
        where subscriber_server = $1 and subscriber_database = $2 and subscription = $3`,
      [server, database, subscription],
    );
  }

  async forget({ server, database, subscription }: LinkName): Promise<void> {
    await this.dataSource.query(
      `delete from lockstep.schema_look
        where subscriber_server = $1 and subscriber_database = $2 and subscription = $3`,
      [server, database, subscription],
    );
  }
}
