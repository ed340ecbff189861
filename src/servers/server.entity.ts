import { Column, Entity, PrimaryColumn } from 'typeorm';
import type { ServerFacts } from '../postgres/catalog/server-facts.js';
import type { TlsSettings } from '../postgres/connection.js';
import type { ProblemDocument } from '../problems/problem.js';

/** A registered PostgreSQL server: how to reach it, and what the last look at it showed. */
@Entity({ name: 'server', schema: 'lockstep' })
export class ServerEntity {
  @PrimaryColumn('text')
  name: string;

  @Column('text')
  host: string;

  @Column('int')
  port: number;

  @Column('text')
  login: string;

  @Column('text')
  database: string;

  @Column('text', { name: 'tls_mode' })
  tlsMode: TlsSettings['mode'];

  @Column('text', { name: 'tls_ca', nullable: true })
  tlsCa: string | null;

  /** Sealed for this server's name by the secret box. */
  @Column('text', { name: 'sealed_password' })
  sealedPassword: string;

  @Column('text', { name: 'advertised_host', nullable: true })
  advertisedHost: string | null;

  @Column('int', { name: 'advertised_port', nullable: true })
  advertisedPort: number | null;

  /** How other servers connect to this one; null: as Lockstep does. */
  @Column('text', { name: 'advertised_tls_mode', nullable: true })
  advertisedTlsMode: TlsSettings['mode'] | null;

  /** libpq's sslrootcert on the hosts of those servers. */
  @Column('text', { name: 'advertised_root_cert', nullable: true })
  advertisedRootCert: string | null;

  /** Bytes of WAL that a slot may keep; null: not known. As text, for int8. */
  @Column('bigint', { name: 'wal_budget_bytes', nullable: true })
  walBudgetBytes: string | null;

  /** New with every change of the columns above. */
  @Column('uuid')
  revision: string;

  /** From the last look that succeeded, at `factsAt`. */
  @Column('jsonb')
  facts: ServerFacts;

  @Column('timestamptz', { name: 'facts_at' })
  factsAt: Date;

  @Column('timestamptz', { name: 'checked_at' })
  checkedAt: Date;

  /** Why the last look failed; null when it did not. */
  @Column('jsonb', { nullable: true })
  problem: ProblemDocument | null;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt: Date;

  @Column('timestamptz', { name: 'updated_at', default: () => 'now()' })
  updatedAt: Date;
}
