import { identifier } from '../quoting.js';
import type { Session } from '../session.js';
import { filledMaterializedViews } from '../catalog/materialized-views.sql.js';

interface MaterializedView {
  schema: string;
  name: string;
}

/**
 * Fills on the target the materialized views that are filled on the source and are not yet there; a long, late step,
 * each view on its own. Returns the views filled now.
 */
export async function refreshMaterializedViews(source: Session, target: Session): Promise<string[]> {
  const done = new Set((await filled(target)).map(nameOf));
  const refreshed: string[] = [];
  await target.execute('set statement_timeout = 0');
  try {
    for (const view of await filled(source)) {
      if (done.has(nameOf(view))) continue;
      await target.execute(statementFor(view));
      refreshed.push(nameOf(view));
    }
  } finally {
    if (target.alive) await target.execute('reset statement_timeout').catch(() => {});
  }
  return refreshed;
}

async function filled(session: Session): Promise<MaterializedView[]> {
  return session.rows<MaterializedView & Record<string, unknown>>(filledMaterializedViews);
}

function nameOf({ schema, name }: MaterializedView): string {
  return /^[a-z_][a-z0-9_]*$/.test(schema + name) ? `${schema}.${name}` : identifier(schema, name);
}

function statementFor({ schema, name }: MaterializedView): string {
  return `refresh materialized view ${identifier(schema, name)}`;
}
