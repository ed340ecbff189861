import { plan } from '../changes/change.js';
import type { PlanDto } from '../changes/plan.dto.js';
import {
  alterPublication,
  createPublication,
  dropPublication,
  emptyPublication,
} from '../postgres/ddl/publication.ddl.js';
import { COMBINATION_RULES } from '../postgres/ddl/options/combination-rules.js';
import { PG18 } from '../shared/server-version.js';
import type {
  CreatePublicationDto,
  EffectiveTableDto,
  PatchPublicationDto,
  PublicationDetailDto,
  PublicationDto,
  PublicationPlanDto,
} from './publications.dto.js';
import { targetOf } from './publication-target.js';

const PLACE = { server: 'orders-18', database: 'orders' };
const ORDERS = { schema: 'public', name: 'orders' };
const CUSTOMERS = { schema: 'public', name: 'customers' };
const EVENTS = { schema: 'public', name: 'events' };
const PAID = { ...ORDERS, columns: ['id', 'total'], where: 'total > 0' };

export const CREATE_PUBLICATION = {
  tables: { name: 'orders_pub', target: { kind: 'tables', tables: [ORDERS, CUSTOMERS] } },
  'row filter and column list (15+)': {
    ...{ name: 'paid_orders_pub', publish: ['insert', 'truncate'] },
    target: { kind: 'tables', tables: [PAID, { ...CUSTOMERS, columns: ['id', 'name'] }] },
  },
  'schemas, and a table besides (15+)': {
    ...{ name: 'sales_pub', viaPartitionRoot: true },
    target: { kind: 'schemas', schemas: ['sales'], tables: [ORDERS] },
  },
  'all tables': { name: 'everything_pub', target: { kind: 'allTables' }, publish: ['insert', 'update', 'delete'] },
  'generated columns (18+)': {
    ...{ name: 'orders_pub', generatedColumns: 'stored' },
    target: { kind: 'tables', tables: [ORDERS] },
  },
} satisfies Record<string, CreatePublicationDto>;

export const PATCH_PUBLICATION = {
  'add and take out tables': { addTables: [EVENTS], removeTables: [CUSTOMERS] },
  'one option': { publish: ['insert', 'update', 'delete'] },
  'filter of one table (15+)': { setTables: [{ ...ORDERS, where: 'id >= 1000' }] },
  'add a schema (15+)': { addSchemas: ['sales'] },
  'the whole list': { target: { kind: 'tables', tables: [ORDERS, EVENTS] } },
  rename: { name: 'orders_pub_2' },
} satisfies Record<string, PatchPublicationDto>;

export const PUBLICATION: PublicationDto = {
  ...{ name: 'orders_pub', owner: 'postgres' },
  target: {
    kind: 'tables',
    tables: [{ ...ORDERS, columns: ['id', 'total'], where: '(id >= 1000)' }, unfiltered(EVENTS)],
  },
  publish: ['insert', 'update', 'delete', 'truncate'],
  ...{ viaPartitionRoot: false, generatedColumns: 'none' },
};

const MEND_EVENTS = ['alter table "public"."events" replica identity full;'];

export const PUBLICATION_DETAIL: PublicationDetailDto = {
  ...PUBLICATION,
  warnings: [
    {
      rule: 'identity-usable',
      detail:
        'UPDATE and DELETE of "public"."events" fail on the publisher while they are published. ' +
        COMBINATION_RULES['identity-usable'].instead,
      tableCount: 1,
      tables: [EVENTS],
      fix: MEND_EVENTS,
    },
  ],
};

export const EFFECTIVE_TABLES: EffectiveTableDto[] = [
  {
    ...{ ...EVENTS, columns: ['at', 'what'], where: null, operations: PUBLICATION.publish },
    ...{ replicaIdentity: 'default', replicaIdentityUsable: false, identityColumns: [] },
    ...{ updatesFail: true, failing: ['update', 'delete'] },
    failures: [{ rule: 'identity-usable', detail: 'no replica identity: "public"."events"' }],
    incomparableColumns: [],
    fix: MEND_EVENTS,
  },
  {
    ...{ ...ORDERS, columns: ['id', 'total'], where: '(id >= 1000)', operations: PUBLICATION.publish },
    ...{ replicaIdentity: 'default', replicaIdentityUsable: true, identityColumns: ['id'] },
    ...{ updatesFail: false, failing: [], failures: [], incomparableColumns: [], fix: [] },
  },
];

const { target, name } = CREATE_PUBLICATION.tables;
const CREATED = {
  ...PUBLICATION,
  ...{ name, target: { kind: 'tables' as const, tables: [ORDERS, CUSTOMERS].map(unfiltered) } },
};

export const CREATE_PLAN: PublicationPlanDto = {
  statements: plan(PLACE, createPublication({ name, target: targetOf(target) }, PG18)),
  warnings: [],
};

export const PATCH_PLAN: PublicationPlanDto = {
  statements: plan(PLACE, alterPublication(CREATED, PATCH_PUBLICATION['add and take out tables'], PG18)),
  warnings: [
    ...PUBLICATION_DETAIL.warnings,
    {
      rule: 'subscribers-refresh',
      detail: 'subscribers get "public"."events" once their subscriptions are refreshed',
      ...{ tableCount: 1, tables: [EVENTS], fix: [] },
    },
  ],
};

export const DROP_PLAN: PlanDto = {
  statements: plan(PLACE, [...emptyPublication(CREATED), ...dropPublication(name)]),
};

function unfiltered(table: { schema: string; name: string }) {
  return { ...table, columns: null, where: null };
}
