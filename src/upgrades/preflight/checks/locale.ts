import { databaseLocale, type LocaleRow, staleCollations } from '../../../postgres/catalog/preflight-server.sql.js';
import { type Check, rowsCheck } from '../check.js';

export const localeChecks: Check[] = [
  {
    name: 'encoding',
    severity: 'blocker',
    sql: ({ source }) => databaseLocale(source.versionNum),
    judge: async ({ source, target }) => {
      const from = await source.row<LocaleRow>(databaseLocale(source.versionNum));
      const to = await target.row<LocaleRow>(databaseLocale(target.versionNum));
      // Every character set converts to UTF8; SQL_ASCII is none, and its bytes may not be valid there.
      const convertible = to.encoding === 'UTF8' && from.encoding !== 'SQL_ASCII';
      return {
        passed: from.encoding === to.encoding,
        severity: convertible ? 'warning' : 'blocker',
        observed: `${from.encoding} to ${to.encoding}`,
        expected: 'the same encoding on both sides',
        remedy: `create database ... template template0 encoding '${from.encoding}' on the target.`,
      };
    },
  },
  {
    name: 'locale',
    severity: 'warning',
    sql: ({ source }) => databaseLocale(source.versionNum),
    judge: async ({ source, target }) => {
      const from = await source.row<LocaleRow>(databaseLocale(source.versionNum));
      const to = await target.row<LocaleRow>(databaseLocale(target.versionNum));
      const text = ({ collate, ctype, provider, icuLocale }: LocaleRow) =>
        `${provider === 'i' ? `icu ${icuLocale ?? '?'}` : provider === 'b' ? `builtin ${icuLocale ?? '?'}` : `${collate} / ${ctype}`}`;
      return {
        passed: text(from) === text(to),
        observed: text(from) === text(to) ? text(from) : `${text(from)} on the source, ${text(to)} on the target`,
        expected: 'the same locale: text sorts and folds the same on both sides',
        remedy: 'Create the target database with the locale of the source, unless the change is wanted.',
      };
    },
  },
  ...(['source', 'target'] as const).map((side) =>
    rowsCheck({
      name: `${side}-collation-versions`,
      severity: 'warning',
      side,
      sql: (context) => staleCollations(context[side].versionNum),
      expected: 'collations have the version they were made with',
      what: 'collations whose library changed',
      remedy: 'Reindex what uses them, then alter collation ... refresh version.',
    }),
  ),
];
