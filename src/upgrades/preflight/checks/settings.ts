import {
  FILE_SETTINGS,
  SETTINGS,
  SETTINGS_FOR_ROLE,
  SETTINGS_IN_SESSION,
} from '../../../postgres/catalog/preflight-server.sql.js';
import { type Session, withSession } from '../../../postgres/session.js';
import { login } from './privileges.js';
import type { Check, PreflightContext, Side } from '../check.js';

interface SettingRow {
  name: string;
  setting: string;
  unit: string | null;
}

async function settings(session: Session, names: string[]): Promise<Map<string, SettingRow>> {
  const rows = await session.rows<SettingRow>(SETTINGS, [names]);
  return new Map(rows.map((row) => [row.name, row]));
}

/** A setting that ends or loses a slot when it has the wrong value; absent on older servers. */
function slotSetting(side: Side, name: string, harmless: string, harm: string): Check {
  return {
    name: `${side}-${name.replaceAll('_', '-')}`,
    severity: 'warning',
    sql: () => `select setting, unit from pg_catalog.pg_settings where name = '${name}'`,
    judge: async (context) => {
      const row = (await settings(context[side], [name])).get(name);
      const value = row === undefined ? 'not known to this version' : `${row.setting}${row.unit ?? ''}`;
      return {
        passed: row === undefined || row.setting === harmless,
        observed: `${name} = ${value}`,
        expected: `${harmless}: ${harm}`,
        remedy: `alter system set ${name} = ${harmless} for the time of the upgrade, or watch that the slots keep far from it.`,
      };
    },
  };
}

/** Settings that end statements or transactions, for the role that copies: they end the copy of a large table. */
function timeouts(side: Side, names: string[], userOf: (context: PreflightContext) => Promise<string> | string): Check {
  return {
    name: `${side}-replication-timeouts`,
    severity: 'warning',
    sql: () => SETTINGS_FOR_ROLE,
    judge: async (context) => {
      const user = await userOf(context);
      const found = (await valuesFor(context, side, user, names)).filter(
        ({ value }) => !/^0(ms|s|min|h|d)?$/.test(value),
      );
      const values = found.map(({ object, value }) => `${object} = ${value}`).join(', ');
      return {
        passed: found.length === 0,
        observed: found.length === 0 ? `none for ${user}` : `${values} for ${user}`,
        expected: `no ${names.join(' and no ')} for ${user}: it ends the copy of a large table`,
        remedy: found.map(({ object }) => `alter role ${user} set ${object} = 0;`).join('\n'),
        rows: found.map((row) => ({ ...row })),
      };
    },
  };
}

/** Whoever may not read the configuration files can still log in as that role, where it is Lockstep's own. */
async function valuesFor(context: PreflightContext, side: Side, user: string, names: string[]): Promise<ValueRow[]> {
  const connection = context.connections[side];
  if (connection.user === user) {
    return await withSession(connection, { purpose: 'preflight', serverTimeouts: true }, (session) =>
      session.rows<ValueRow>(SETTINGS_IN_SESSION, [names]),
    );
  }
  const stored = await context[side].rows<ValueRow>(SETTINGS_FOR_ROLE, [user, names]);
  const others = names.filter((name) => !stored.some(({ object }) => object === name));
  return [...stored, ...(await context[side].rows<ValueRow>(FILE_SETTINGS, [others]))];
}

interface ValueRow extends Record<string, unknown> {
  object: string;
  value: string;
}

function synchronousStandbys(side: Side): Check {
  return {
    name: `${side}-synchronous-standbys`,
    severity: 'warning',
    sql: () => `select pg_catalog.current_setting('synchronous_standby_names')`,
    judge: async (context) => {
      const value = (await settings(context[side], ['synchronous_standby_names'])).get(
        'synchronous_standby_names',
      )!.setting;
      const taken =
        /(^|[(,\s])\*/.test(value) || (context.options.objectNames ?? []).some((name) => value.includes(name));
      return {
        passed: !taken,
        observed: value === '' ? 'no synchronous standbys' : value,
        expected:
          'standbys by name: `*` also takes the subscription for a synchronous standby, and commits wait for it',
        remedy: 'Name the standbys in synchronous_standby_names.',
      };
    },
  };
}

export const settingChecks: Check[] = [
  slotSetting(
    'source',
    'max_slot_wal_keep_size',
    '-1',
    'a limit protects the disk, and ends the slot when the target falls behind',
  ),
  slotSetting(
    'target',
    'max_slot_wal_keep_size',
    '-1',
    'a limit ends the slot of the way back when the source falls behind',
  ),
  slotSetting('source', 'idle_replication_slot_timeout', '0', 'an idle slot is invalidated'),
  slotSetting('target', 'idle_replication_slot_timeout', '0', 'the slot of the way back is invalidated while it waits'),
  timeouts('source', ['statement_timeout', 'transaction_timeout'], ({ options }) => options.sourceAddress!.user),
  // Workers of the subscription run as its owner; statement_timeout does not reach them.
  timeouts('target', ['transaction_timeout'], ({ target }) => login(target)),
  synchronousStandbys('source'),
  synchronousStandbys('target'),
  {
    name: 'connection-ceiling',
    severity: 'warning',
    sql: () => SETTINGS,
    judge: async ({ source, target }) => {
      const names = ['max_connections', 'max_prepared_transactions', 'max_locks_per_transaction'];
      const [from, to] = [await settings(source, names), await settings(target, names)];
      const lower = names.filter((name) => Number(to.get(name)!.setting) < Number(from.get(name)!.setting));
      const text = (name: string) =>
        `${name} ${from.get(name)!.setting} on the source, ${to.get(name)!.setting} on the target`;
      return {
        passed: lower.length === 0,
        observed: (lower.length === 0 ? names : lower).map(text).join('; '),
        expected: 'not lower on the target than on the source',
        remedy: 'Raise them on the target; then restart it.',
      };
    },
  },
];
