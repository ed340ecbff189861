import { AVAILABLE_EXTENSIONS, C_FUNCTIONS, EXTENSIONS } from '../../../postgres/catalog/preflight-schema.sql.js';
import { type Check, listed, rowsCheck } from '../check.js';

interface ExtensionRow {
  object: string;
  version: string;
}

export const extensionChecks: Check[] = [
  {
    name: 'extensions-available',
    severity: 'blocker',
    sql: () => AVAILABLE_EXTENSIONS,
    judge: async ({ source, target }) => {
      const installed = await source.rows<ExtensionRow>(EXTENSIONS);
      const available = new Set((await target.rows<ExtensionRow>(AVAILABLE_EXTENSIONS)).map(({ object }) => object));
      const missing = installed.filter(({ object }) => !available.has(object)).map((row) => ({ ...row }));
      return {
        passed: missing.length === 0,
        observed:
          missing.length === 0 ? `${installed.length} installed, all available` : `not available: ${listed(missing)}`,
        expected: 'every extension of the source can be created on the target',
        remedy: 'Install their packages on the target server, or drop the extensions on the source.',
        rows: missing,
      };
    },
  },
  {
    name: 'extension-versions',
    severity: 'info',
    sql: () => AVAILABLE_EXTENSIONS,
    judge: async ({ source, target }) => {
      const available = await target.rows<ExtensionRow>(AVAILABLE_EXTENSIONS);
      const rows = (await source.rows<ExtensionRow>(EXTENSIONS)).flatMap(({ object, version }) => {
        const there = available.find((row) => row.object === object)?.version;
        return there === undefined || there === version ? [] : [{ object, source: version, target: there }];
      });
      return {
        passed: rows.length === 0,
        observed: rows.length === 0 ? 'the same versions' : `other versions on the target: ${listed(rows)}`,
        expected: 'the same extension versions on both sides',
        remedy: 'Read the release notes of these extensions before switching over.',
        rows,
      };
    },
  },
  rowsCheck({
    name: 'c-functions',
    severity: 'warning',
    side: 'source',
    sql: C_FUNCTIONS,
    expected: 'no function in C outside extensions',
    what: 'functions in C',
    remedy: 'Install their libraries, built for the new version, on the target.',
  }),
];
