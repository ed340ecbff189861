import {
  BEHAVIOUR_SETTINGS,
  CLOSED_DATABASES,
  CONNECTION_LIMIT,
  FREEZE_AGES,
  hbaErrors,
  KNOWN_SETTINGS,
  MAY_READ_HBA,
  PRELOADED_LIBRARIES,
  SEES_ALL_SETTINGS,
  STORED_SETTINGS,
} from '../../../postgres/catalog/preflight-configuration.sql.js';
import { SETTINGS } from '../../../postgres/catalog/preflight-server.sql.js';
import { Problem } from '../../../problems/problem.js';
import { type Check, listed, rowsCheck, type Side } from '../check.js';

/** Half of what there is: enough is left for a copy of days, and it is time to vacuum. */
const TOLERATED_AGE = 1_000_000_000;

function hba(side: Side): Check {
  const check = rowsCheck({
    name: `${side}-hba-errors`,
    severity: 'warning',
    side,
    sql: (context) => hbaErrors(context[side].versionNum),
    expected:
      'every line of pg_hba.conf can be read: with a faulty one no change of the file takes effect, and a restart fails',
    what: 'faulty lines',
    remedy: 'Correct them (the server log has the whole message), then select pg_catalog.pg_reload_conf().',
  });
  return {
    ...check,
    judge: async (context) => {
      const { readable } = await context[side].row<{ readable: boolean }>(MAY_READ_HBA);
      if (readable) return check.judge(context);
      throw new Problem('SERVER_PRIVILEGE_MISSING', `the login on the ${side} may not read pg_hba_file_rules`, {
        hint: 'grant select on pg_catalog.pg_hba_file_rules and execute on function pg_catalog.pg_hba_file_rules() to the login in this database, or look at pg_hba.conf yourself.',
      });
    },
  };
}

interface SettingRow {
  [column: string]: unknown;
  name: string;
  setting: string;
  unit: string | null;
}

interface Libraries extends Record<string, string> {
  shared: string;
  session: string;
  local: string;
}

function names(list: string): string[] {
  return list
    .split(',')
    .map((name) =>
      name
        .trim()
        .replace(/^"|"$/g, '')
        .replace(/^\$libdir\/(plugins\/)?/, ''),
    )
    .filter((name) => name !== '');
}

export const configurationChecks: Check[] = [
  hba('source'),
  hba('target'),
  {
    name: 'settings-unknown-to-target',
    severity: 'warning',
    sql: () => STORED_SETTINGS,
    judge: async ({ source, target }) => {
      const stored = await source.rows<{ name: string; owner: string }>(STORED_SETTINGS);
      const asked = [...new Set(stored.map(({ name }) => name))];
      const known = new Set((await target.rows<{ name: string }>(KNOWN_SETTINGS, [asked])).map(({ name }) => name));
      const rows = stored
        .filter(({ name }) => !known.has(name))
        .map(({ name, owner }) => ({ object: `${name} of ${owner}` }));
      if (rows.length > 0 && !(await target.row<{ visible: boolean }>(SEES_ALL_SETTINGS)).visible) {
        throw new Problem(
          'SERVER_PRIVILEGE_MISSING',
          `the login on the target may not see whether it knows ${listed(rows)}`,
          {
            hint: 'grant pg_read_all_settings to the login.',
          },
        );
      }
      return {
        passed: rows.length === 0,
        observed: rows.length === 0 ? 'none' : `${rows.length} settings: ${listed(rows)}`,
        expected: 'every setting stored for a role or for the database exists on the target',
        remedy:
          'They are left out on the target: alter role ... reset, or alter database ... reset, or set what replaced them there.',
        rows,
      };
    },
  },
  {
    name: 'settings-differing',
    severity: 'info',
    sql: () => BEHAVIOUR_SETTINGS,
    judge: async ({ source, target }) => {
      const from = await source.rows<{ object: string; value: string }>(BEHAVIOUR_SETTINGS);
      const there = await target.rows<SettingRow>(SETTINGS, [from.map(({ object }) => object)]);
      const to = new Map(there.map(({ name, setting, unit }) => [name, `${setting}${unit ?? ''}`]));
      const rows = from.flatMap(({ object, value }) => {
        return to.get(object) === value ? [] : [{ object, source: value, target: to.get(object) ?? 'unknown' }];
      });
      return {
        passed: rows.length === 0,
        observed:
          rows.length === 0
            ? 'the same'
            : rows
                .map(({ object, source: a, target: b }) => `${object}: ${a} on the source, ${b} on the target`)
                .join('; '),
        expected: 'what the configuration of the source sets for statements, the target sets too',
        remedy: 'Set them on the target where applications rely on them.',
        rows,
      };
    },
  },
  {
    name: 'preloaded-libraries',
    severity: 'warning',
    sql: () => PRELOADED_LIBRARIES,
    judge: async ({ source, target }) => {
      const [from, to] = [
        await source.row<Libraries>(PRELOADED_LIBRARIES),
        await target.row<Libraries>(PRELOADED_LIBRARIES),
      ];
      const rows = (['shared', 'session', 'local'] as const).flatMap((kind) =>
        names(from[kind])
          .filter((name) => !names(to[kind]).includes(name))
          .map((name) => ({ object: name, setting: `${kind}_preload_libraries` })),
      );
      return {
        passed: rows.length === 0,
        observed: rows.length === 0 ? 'none is missing' : `not loaded by the target: ${listed(rows)}`,
        expected: 'the target preloads every library that the source preloads',
        remedy: 'Install them on the target and add them to its settings; shared ones need a restart.',
        rows,
      };
    },
  },
  rowsCheck({
    name: 'wraparound-head-room',
    severity: 'warning',
    side: 'source',
    sql: FREEZE_AGES,
    parameters: () => [TOLERATED_AGE],
    expected:
      'no database has used half of its transaction numbers: snapshots of the copy hold up vacuum, and at the end the server takes no writes',
    what: 'databases',
    remedy: 'vacuum freeze in them before the upgrade, and end what holds it up.',
  }),
  rowsCheck({
    name: 'closed-databases',
    severity: 'info',
    side: 'source',
    sql: CLOSED_DATABASES,
    expected: 'every database of the source accepts connections',
    what: 'databases nobody can connect to',
    remedy: 'An upgrade moves one database: open what is to be moved too, drop what was left half dropped.',
  }),
  {
    name: 'database-connection-limit',
    severity: 'warning',
    sql: () => CONNECTION_LIMIT,
    judge: async ({ source, target }) => {
      const { limit: from } = await source.row<{ limit: number | null }>(CONNECTION_LIMIT);
      const { limit: to } = await target.row<{ limit: number | null }>(CONNECTION_LIMIT);
      const text = (limit: number | null) => (limit === null ? 'unlimited' : String(limit));
      return {
        passed: to === null || (from !== null && to >= from),
        observed: `${text(from)} on the source, ${text(to)} on the target`,
        expected: 'the target database takes no fewer connections than the source',
        remedy: 'alter database ... connection limit on the target.',
      };
    },
  },
];
