import { DATABASE_SIZE } from '../../postgres/catalog/upgrade.sql.js';
import { Problem } from '../../problems/problem.js';
import type { PreflightOptions } from '../preflight/options.js';
import { runPreflight } from '../preflight/preflight.service.js';
import { objectNames } from '../object-names.js';
import type { UpgradeRequest } from '../upgrade-request.js';
import type { UpgradeStep } from '../workflow/step.js';

/** Asks both servers everything that could stop the upgrade later. Changes nothing. */
export const preflightStep: UpgradeStep = {
  name: 'preflight',
  phase: 'preflight',

  async run(context) {
    await context.progress('preflight checks');
    const options = await context.preflightOptions();
    const results = await runPreflight({
      source: await context.connection('source'),
      target: await context.connection('target'),
      options,
      signal: context.signal,
    });
    await context.storePreflight(results);
    const blockers = results.filter((result) => !result.passed && result.severity === 'blocker');
    if (blockers.length > 0) {
      throw new Problem('PRECONDITION_FAILED', `blockers: ${blockers.map(({ check }) => check).join(', ')}`, {
        hint: 'Each has a remedy in `preflight`. Mend them, then POST …/retry.',
        extra: { checks: blockers.slice(0, 50) },
      });
    }
    for (const side of ['source', 'target'] as const) {
      const session = await context.act(side);
      const { version } = await session.row<{ version: string }>(
        `select pg_catalog.current_setting('server_version') as version`,
      );
      await context.record({ [side]: { version, versionNum: session.versionNum } });
    }
    const { bytes } = await (await context.act('source')).row<{ bytes: string }>(DATABASE_SIZE);
    const warnings = results.filter((result) => !result.passed && result.severity === 'warning');
    return { checks: results.length, warnings: warnings.map(({ check }) => check), databaseBytes: Number(bytes) };
  },
};

/** What the checks need to know of the request; addresses are added by whoever knows the servers. */
export function preflightOptionsOf(
  request: Omit<UpgradeRequest, 'name'>,
  shortId: string,
  passwordsGiven: string[],
): PreflightOptions {
  const names = objectNames(shortId);
  return {
    ...(request.writerRoles === null ? {} : { writerRoles: request.writerRoles }),
    passwordsGiven,
    ...(request.replicaIdentity === 'full-where-missing' ? { replicaIdentity: 'full-where-missing' as const } : {}),
    copyMethod: request.copy.method,
    objectNames: [names.publication, names.backPublication],
  };
}
