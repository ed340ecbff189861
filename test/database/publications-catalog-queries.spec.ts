import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  applyProgressSql,
  applyWaitsSql,
  END_APPLY_WORKERS,
  PROCESSES_LEFT,
} from '../../src/postgres/catalog/apply.sql.js';
import { BARRED_TABLES } from '../../src/postgres/catalog/barred-tables.sql.js';
import { TABLES_HIDING_ROWS } from '../../src/postgres/catalog/hidden-rows.sql.js';
import { LOGIN_RIGHTS, OBJECT_OWNER } from '../../src/postgres/catalog/login-rights.sql.js';
import {
  NAMED_RELATIONS,
  PUBLISHING_RIGHTS,
  NAMED_SCHEMAS,
} from '../../src/postgres/catalog/publication-objects.sql.js';
import { LOGICAL_SLOT, SLOT_CONFIRMED } from '../../src/postgres/catalog/logical-slot.sql.js';
import { PUBLICATION_OPERATIONS, PUBLICATIONS } from '../../src/postgres/catalog/publications.sql.js';
import { PUBLISHED_TABLES } from '../../src/postgres/catalog/published-tables-effective.sql.js';
import { PUBLISHING_CHANGES } from '../../src/postgres/catalog/publishing.sql.js';
import { REPLICATION_SLOTS, SLOT_CREATION_BLOCKERS } from '../../src/postgres/catalog/replication-slots.sql.js';
import { SEQUENCES } from '../../src/postgres/catalog/sequences-list.sql.js';
import {
  ORIGIN_PROGRESS,
  ORIGIN_PROGRESS_ONE_BY_ONE,
  READABLE,
  SUBSCRIPTION_CONNECTIONS,
  SUBSCRIPTION_ERRORS,
  SUBSCRIPTION_TABLES,
  SUBSCRIPTION_WORKERS,
  SUBSCRIPTIONS,
} from '../../src/postgres/catalog/subscriptions.sql.js';
import { SUBSCRIPTION_NAMES } from '../../src/postgres/catalog/subscription-names.sql.js';
import { UPSTREAM_SLOT } from '../../src/postgres/catalog/upstream-slot.sql.js';
import { TABLE_INDEXES } from '../../src/postgres/catalog/table-indexes.sql.js';
import { TABLE_WRITES } from '../../src/postgres/catalog/table-writes.sql.js';
import { TABLES } from '../../src/postgres/catalog/tables.sql.js';
import { type Variant, variantFor } from '../../src/postgres/catalog/variant.js';
import {
  SUBSCRIPTION_SLOT_CONNECTIONS,
  SUBSCRIPTION_SLOTS,
  SUBSCRIPTIONS_BEING_CHANGED,
  SYNCHRONIZATION_SLOTS,
  SYNCHRONIZATION_STATE,
} from '../../src/postgres/catalog/subscription-slots.sql.js';
import { WAL_END } from '../../src/postgres/catalog/wal-position.sql.js';
import { WAL_SENDERS } from '../../src/postgres/catalog/wal-senders.sql.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const NAME = [null];

/** Every catalog query, with parameters that select everything. */
const QUERIES: Record<string, { variants: readonly Variant[]; parameters: unknown[] }> = {
  publications: { variants: PUBLICATIONS, parameters: [null, null, null] },
  'publication operations': { variants: PUBLICATION_OPERATIONS, parameters: [['none']] },
  'published tables': { variants: PUBLISHED_TABLES, parameters: [['none'], null, null, null] },
  'publishing rights': { variants: [{ since: 130000, sql: PUBLISHING_RIGHTS }], parameters: NAME },
  'login rights': { variants: LOGIN_RIGHTS, parameters: [] },
  'object owner': { variants: OBJECT_OWNER, parameters: ['table', 'pg_catalog', 'pg_class'] },
  'apply progress': { variants: applyProgressSql('null::text'), parameters: [1, 'none'] },
  'apply waits': { variants: [{ since: 130000, sql: applyWaitsSql(null) }], parameters: NAME },
  'end apply workers': { variants: END_APPLY_WORKERS, parameters: [1] },
  'processes left': { variants: PROCESSES_LEFT, parameters: [[1]] },
  'logical slot': { variants: LOGICAL_SLOT, parameters: ['none'] },
  'slot confirmed': { variants: SLOT_CONFIRMED, parameters: ['none'] },
  'barred tables': { variants: BARRED_TABLES, parameters: NAME },
  'tables hiding rows': { variants: TABLES_HIDING_ROWS, parameters: [['s'], ['t']] },
  'named relations': { variants: [{ since: 130000, sql: NAMED_RELATIONS }], parameters: [['s'], ['t']] },
  'named schemas': { variants: [{ since: 130000, sql: NAMED_SCHEMAS }], parameters: [['s']] },
  'publishing changes': { variants: [{ since: 130000, sql: PUBLISHING_CHANGES }], parameters: ['1259'] },
  'replication slots': { variants: REPLICATION_SLOTS, parameters: NAME },
  'slot creation blockers': { variants: SLOT_CREATION_BLOCKERS, parameters: [] },
  sequences: { variants: SEQUENCES, parameters: [null, null, null, null, null] },
  'origin progress': { variants: ORIGIN_PROGRESS, parameters: NAME },
  'origin progress, one by one': { variants: ORIGIN_PROGRESS_ONE_BY_ONE, parameters: NAME },
  readable: { variants: READABLE, parameters: [] },
  'subscription connections': { variants: SUBSCRIPTION_CONNECTIONS, parameters: NAME },
  'subscription errors': { variants: SUBSCRIPTION_ERRORS, parameters: NAME },
  'subscription names': { variants: SUBSCRIPTION_NAMES, parameters: [null, null, null, null] },
  'subscription slots': { variants: SUBSCRIPTION_SLOTS, parameters: [] },
  'subscription slot connections': { variants: SUBSCRIPTION_SLOT_CONNECTIONS, parameters: [] },
  'subscriptions being changed': { variants: SUBSCRIPTIONS_BEING_CHANGED, parameters: [] },
  'synchronization slots': { variants: SYNCHRONIZATION_SLOTS, parameters: ['1', '1'] },
  'synchronization state': { variants: SYNCHRONIZATION_STATE, parameters: [['1'], ['1']] },
  'subscription tables': { variants: SUBSCRIPTION_TABLES, parameters: NAME },
  'subscription workers': { variants: SUBSCRIPTION_WORKERS, parameters: NAME },
  subscriptions: { variants: SUBSCRIPTIONS, parameters: NAME },
  'table indexes': { variants: [{ since: 130000, sql: TABLE_INDEXES }], parameters: [[1255]] },
  'table writes': { variants: [{ since: 130000, sql: TABLE_WRITES }], parameters: [[1255]] },
  tables: { variants: TABLES, parameters: [null, null, null, null, null] },
  'upstream slot': { variants: UPSTREAM_SLOT, parameters: [] },
  'wal end': { variants: WAL_END, parameters: [] },
  'wal senders': { variants: WAL_SENDERS, parameters: [] },
};

describe('catalog queries', () => {
  const servers = new Map<number, TestServer>();

  beforeAll(async () => {
    for (const major of AVAILABLE_MAJORS) servers.set(major, await TestServer.shared(major));
  });

  afterAll(async () => {
    for (const server of servers.values()) await server.stop();
  });

  it.each(Object.keys(QUERIES))('%s: the same columns, of the same types, on every version', async (name) => {
    const { variants, parameters } = QUERIES[name]!;
    const columns = new Map<number, string>();
    for (const [major, server] of servers) {
      await server.withSession('postgres', async (session) => {
        const result = await session.driver.query(variantFor(variants, session.versionNum), parameters);
        columns.set(major, result.fields.map((field) => `${field.name}:${field.dataTypeID}`).join(' '));
      });
    }
    expect(columns.size).toBe(AVAILABLE_MAJORS.length);
    expect(new Set(columns.values()).size).toBe(1);
  });

  it('has no variant that a supported version would never use', () => {
    for (const { variants } of Object.values(QUERIES)) {
      const used = new Set(AVAILABLE_MAJORS.map((major) => variantFor(variants, major * 10000)));
      expect(used.size).toBe(variants.length);
    }
  });
});
