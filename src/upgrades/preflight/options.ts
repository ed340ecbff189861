import type { PublisherTarget } from '../../subscriptions/publisher-connection.js';

/** How one server will reach the other: what goes into a subscription's connection string, without its password. */
export type ReplicationAddress = Pick<PublisherTarget, 'host' | 'port' | 'user'> &
  Partial<Pick<PublisherTarget, 'tls' | 'rootCert'>>;

export function replicationAddress({ host, port, user, tls, rootCert }: PublisherTarget): ReplicationAddress {
  return { host, port, user, tls, rootCert: rootCert ?? null };
}

/** What the upgrade intends, as far as the checks depend on it. */
export interface PreflightOptions {
  /** How the target reaches the source. Default: as Lockstep does. */
  sourceAddress?: ReplicationAddress;
  /** How the source will reach the target for the way back. Default: as Lockstep does. */
  targetAddress?: ReplicationAddress;
  /** Roles to bar instead of every role that can write. */
  writerRoles?: string[];
  /** Roles for whose target login a password was given, so that their verifier need not be read. */
  passwordsGiven?: string[];
  /** Asked to set REPLICA IDENTITY FULL for the time of the upgrade where a table has none. */
  replicaIdentity?: 'full-where-missing';
  copyMethod?: 'tablesync' | 'snapshot';
  /** Names of the slots, publications and subscriptions the upgrade will create. */
  objectNames?: string[];
}
