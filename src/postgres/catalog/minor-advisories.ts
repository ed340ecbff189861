import { majorOf } from '../../shared/server-version.js';

/** A known fault of minor releases that matters to replication or to an upgrade. */
export interface MinorAdvisory {
  /** Stable kebab-case name. */
  id: string;
  /** The fault itself. */
  fact: string;
  /** What it means for whoever replicates or upgrades. */
  meaning: string;
  /** `pg_upgrade` ones do not concern an upgrade by Lockstep, which runs no pg_upgrade. */
  concerns: 'replication' | 'pg_upgrade';
  affected: AffectedRange[];
}

/** Releases of one major from `from` on, up to but not including `fixedIn`. */
interface AffectedRange {
  major: number;
  from: number;
  /** Null: no release of this major has the fix. */
  fixedIn: number | null;
  /** The range counts betas (`19beta1` is 1) instead of minor releases. */
  beta?: true;
}

function since0(fixed: Record<number, number | null>): AffectedRange[] {
  return Object.entries(fixed).map(([major, fixedIn]) => ({ major: Number(major), from: 0, fixedIn }));
}

/** May and August 2026 brought these minor releases; there is none of 13 any more. */
const MAY_2026 = { 16: 14, 17: 10, 18: 4 };
const AUGUST_2026 = { 14: 24, 15: 19, 16: 15, 17: 11, 18: 6 };

/**
 * Before, the walreceiver's own options took the place of the connection string's, from 15 on: seen in the binaries of
 * 15.15, 16.11, 17.7 and 18.1 and of their successors.
 */
const HEEDS_CONNECTION_OPTIONS: Record<number, number> = { 15: 16, 16: 12, 17: 8, 18: 2 };

/** Whether a subscriber of that release passes `options` of a subscription's connection string on to the publisher. */
export function heedsConnectionOptions(versionNum: number): boolean {
  return versionNum % 10000 >= (HEEDS_CONNECTION_OPTIONS[majorOf(versionNum)] ?? 0);
}

export const MINOR_ADVISORIES: readonly MinorAdvisory[] = [
  {
    id: 'lost-changes-beside-ddl',
    fact: 'logical decoding loses changes when ALTER PUBLICATION ... ADD TABLE or ALTER TYPE runs beside writes',
    meaning: 'rows can be missing on the subscriber without an error; run no such DDL during an upgrade',
    concerns: 'replication',
    affected: since0({ 13: null, 14: 18, 15: 13, 16: 9, 17: 5 }),
  },
  {
    id: 'decoding-memory-beside-ddl',
    fact: 'the fix of lost changes beside DDL needs a follow-up for the memory that logical decoding uses',
    meaning: 'a walsender may need much more memory while transactions with DDL are decoded',
    concerns: 'replication',
    affected: [
      { major: 14, from: 18, fixedIn: 19 },
      { major: 15, from: 13, fixedIn: 14 },
      { major: 16, from: 9, fixedIn: 10 },
      { major: 17, from: 5, fixedIn: 6 },
    ],
  },
  {
    id: 'pg-upgrade-and-max-slot-wal-keep-size',
    fact: 'pg_upgrade refuses a server on which max_slot_wal_keep_size is not -1',
    meaning: 'nothing for an upgrade by Lockstep, which does not run pg_upgrade',
    concerns: 'pg_upgrade',
    affected: since0({ 17: 6 }),
  },
  {
    id: 'run-as-owner-ignored',
    fact: 'ALTER SUBSCRIPTION ... SET (run_as_owner) has no effect',
    meaning: 'changes are applied as the role that was set when the subscription was created',
    concerns: 'replication',
    affected: since0({ 16: 1 }),
  },
  {
    id: 'connection-options-ignored',
    fact: 'a subscription does not pass the options of its connection string on to the publisher',
    meaning:
      'options=-crow_security=off has no effect: where row security holds the login, a first copy lacks rows without an error',
    concerns: 'replication',
    affected: since0(HEEDS_CONNECTION_OPTIONS),
  },
  {
    id: 'cve-2026-6638',
    fact: 'CVE-2026-6638: SQL injection in the origin check of ALTER SUBSCRIPTION ... REFRESH PUBLICATION',
    meaning: 'names of tables on the subscriber can run SQL on the publisher, with the rights of the subscription',
    concerns: 'replication',
    affected: since0(MAY_2026),
  },
  {
    id: 'cve-2026-6471',
    fact: 'CVE-2026-6471: a role with REPLICATION can have the server load any library as an output plugin',
    meaning:
      'releases with the fix load only what output_plugin_libraries lists (pgoutput, test_decoding): wal2json, decoderbufs and pglogical_output stop until they are listed',
    concerns: 'replication',
    affected: since0(AUGUST_2026),
  },
  {
    id: 'sequence-sync-loops',
    fact: 'synchronisation of sequences from a publisher older than 19 loops with "invalid query response"',
    meaning:
      'nothing for an upgrade by Lockstep, which moves sequences itself; do not use REFRESH SEQUENCES from an older publisher',
    concerns: 'replication',
    affected: [{ major: 19, from: 1, fixedIn: 3, beta: true }],
  },
];

/** What is known of this release. `version` is the server's own text, e.g. `14.23` or `19beta2`. */
export function minorAdvisories(versionNum: number, version: string): MinorAdvisory[] {
  const beta = /^\d+beta(\d+)/.exec(version)?.[1];
  const released = /^\d+\.\d+/.test(version);
  return MINOR_ADVISORIES.filter(({ affected }) =>
    affected.some((range) => {
      if (range.major !== majorOf(versionNum)) return false;
      if (range.beta ? beta === undefined : !released) return false;
      const release = range.beta ? Number(beta) : versionNum % 10000;
      return release >= range.from && (range.fixedIn === null || release < range.fixedIn);
    }),
  );
}

/** The release of that major from which the fault is gone, e.g. `17.5`; null when there is none. */
export function fixedIn({ affected }: MinorAdvisory, major: number): string | null {
  const range = affected.find((candidate) => candidate.major === major);
  if (range?.fixedIn === undefined || range.fixedIn === null) return null;
  return `${major}${range.beta ? 'beta' : '.'}${range.fixedIn}`;
}
