import { type Publication, readPublications } from '../postgres/catalog/publications.js';
import { alterPublication, createPublication } from '../postgres/ddl/publication.ddl.js';
import type { Session } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { PG18 } from '../shared/server-version.js';

/** Gives a publication back what it published before it was emptied to be dropped; one that is gone stays so. */
export function refill(session: Session, former: Publication): Promise<void> {
  return session.transaction(async () => {
    const [now] = await readPublications(session, former.name);
    if (!now) return;
    const statements = alterPublication(now, { target: former.target }, session.versionNum);
    for (const { sql } of statements) await session.execute(sql);
  });
}

/** The drop failed, and what was published is published again, but for what was written meanwhile. */
export function keptAfterAll(error: unknown, { name }: Publication): unknown {
  if (!(error instanceof Problem)) return error;
  const again = `The publication ${JSON.stringify(name)} publishes again what it did, but what was written to its tables for a moment was not sent: verify the subscriptions to it.`;
  return new Problem(error.code, error.detail, { ...error.options, hint: hint(error, again), cause: error });
}

/** The drop failed, and so did what should have mended it. */
export function leftEmpty(error: unknown, former: Publication, versionNum: number): unknown {
  if (!(error instanceof Problem)) return error;
  const { generatedColumns, ...rest } = former;
  const spec = versionNum < PG18 ? rest : { ...rest, generatedColumns };
  const was = createPublication(spec, versionNum).map(({ sql }) => sql);
  return new Problem(
    error.code,
    `${error.detail}; if the publication ${JSON.stringify(former.name)} is still there, it publishes nothing now`,
    {
      ...error.options,
      hint: hint(
        error,
        `Delete it again, or give it back what it published: ${was.join('; ')}. What was written meanwhile was not sent: verify the subscriptions to it.`,
      ),
      extra: { ...error.options.extra, was },
      cause: error,
    },
  );
}

function hint({ options }: Problem, more: string): string {
  return options.hint === undefined ? more : `${options.hint} ${more}`;
}
