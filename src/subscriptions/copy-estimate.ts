import type { Place } from '../changes/change.js';
import { readTableSizes } from '../postgres/catalog/table-sizes.js';
import type { TableName } from '../postgres/catalog/tables.js';
import { Problem } from '../problems/problem.js';
import type { ServersService } from '../servers/servers.service.js';
import { type CopyEstimate, copyEstimate } from './refresh-preview.js';

/** Sizes are read under a lock on each table, for which whoever alters one makes wait. */
const LOOK_MS = 3_000;

/** What a first copy of the tables reads on the publisher; null: nothing is copied, or it could not be read in time. */
export async function estimateCopy(
  servers: ServersService,
  { server, database }: Place,
  tables: readonly TableName[],
  publications: readonly string[],
): Promise<CopyEstimate | null> {
  if (tables.length === 0) return null;
  try {
    const sizes = await servers.look(server, database, LOOK_MS, (there) => readTableSizes(there, tables, publications));
    return copyEstimate(sizes);
  } catch (error) {
    if (!(error instanceof Problem) || error.code === 'INTERNAL') throw error;
    return null;
  }
}
