import { Injectable } from '@nestjs/common';
import type { Place } from '../changes/change.js';
import { readTablesHidingRows } from '../postgres/catalog/hidden-rows.js';
import { readPublicationTables } from '../postgres/catalog/publication-tables.js';
import { type PublishedDifferently, readPublishedDifferently } from '../postgres/catalog/published-differently.js';
import { readTableNames } from '../postgres/catalog/subscriber-rows.js';
import type { Subscription } from '../postgres/catalog/subscriptions.js';
import { type Conninfo, parseConninfo } from '../postgres/ddl/conninfo.js';
import type { Session } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { ServersService } from '../servers/servers.service.js';
import { estimateCopy } from './copy-estimate.js';
import { filterWarnings, hidingWarnings } from './creation-checks.js';
import { turnsRowSecurityOff } from './publisher-connection.js';
import { type Preview, previewRefresh, previewWarnings, unknownPreview } from './refresh-preview.js';

/** A publisher that says nothing keeps whoever changes its subscriptions no longer than this. */
const LOOK_MS = 8_000;

const NONE: PublishedDifferently = { columns: [], filters: [] };

export interface TakingUpOptions {
  /** Null: it is not known, or leads to no registered server. */
  publisher: Place | null;
  /** By which the subscription connects; undefined: not known. */
  conninfo: string | undefined;
  copyData?: boolean | undefined;
  /** Also tell what the first copy reads. */
  estimated?: boolean;
}

/** What it comes to that a subscription takes up the tables of publications, as far as the publisher can be asked. */
@Injectable()
export class TakingUp {
  constructor(private readonly servers: ServersService) {}

  async look(
    session: Session,
    subscription: Subscription,
    publications: readonly string[],
    { publisher, conninfo, copyData = true, estimated = false }: TakingUpOptions,
  ): Promise<Preview> {
    const unknown = (reason: string): Preview => ({ tables: unknownPreview(reason), warnings: [], differing: NONE });
    if (publisher === null) {
      return unknown('the publisher is not a registered server, or the login may not read which it is');
    }
    const existing = await readTableNames(session);
    const given = parametersOf(conninfo);
    const complete = turnsRowSecurityOff(given.options ?? '');
    // A disabled subscription takes up its tables once it is refreshed.
    const copies = copyData && subscription.enabled;
    try {
      const found = await this.servers.look(publisher.server, publisher.database, LOOK_MS, async (there) => {
        const published = await readPublicationTables(there, publications, session.versionNum);
        const differing = await readPublishedDifferently(there, publications);
        const tables = previewRefresh(published.tables, subscription.tables, existing);
        const copied = copies ? (tables.added ?? []) : [];
        const hiding = given.user === undefined ? [] : await readTablesHidingRows(there, copied, given.user);
        return {
          ...{ tables, differing, copied },
          warnings: [
            ...(subscription.enabled ? previewWarnings(tables, published) : []),
            ...filterWarnings(differing),
            ...hidingWarnings({ hiding }, session.versionNum, { complete }),
          ],
        };
      });
      const { tables, differing, warnings, copied } = found;
      if (!estimated) return { tables, differing, warnings };
      const copy = await estimateCopy(this.servers, publisher, copied, publications);
      return { tables: { ...tables, copy }, differing, warnings };
    } catch (error) {
      if (!(error instanceof Problem) || error.code === 'INTERNAL') throw error;
      return unknown(`the publisher ${publisher.server} did not answer: ${error.detail}`);
    }
  }

  /** Tables that these publications do not send alike; null: not known. */
  async differing(
    { publisher }: Pick<TakingUpOptions, 'publisher'>,
    publications: readonly string[],
  ): Promise<PublishedDifferently | null> {
    if (publisher === null) return null;
    try {
      return await this.servers.look(publisher.server, publisher.database, LOOK_MS, (there) =>
        readPublishedDifferently(there, publications),
      );
    } catch (error) {
      if (!(error instanceof Problem) || error.code === 'INTERNAL') throw error;
      return null;
    }
  }
}

/** None where nothing is known, or the string is not one that we can read. */
function parametersOf(conninfo: string | undefined): Conninfo {
  try {
    return conninfo === undefined ? {} : parseConninfo(conninfo);
  } catch {
    return {};
  }
}
