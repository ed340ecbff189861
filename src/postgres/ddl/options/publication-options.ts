import { PG13, PG15, PG18, PG19 } from '../../../shared/server-version.js';
import type { OptionRule } from './option-rule.js';

/** What CREATE and ALTER PUBLICATION take, 13 to 18, and 19 as far as it is known. */
export const PUBLICATION_OPTIONS = {
  tables: {
    option: 'target.tables',
    keyword: 'FOR TABLE',
    example: 'for table only public.t',
    since: PG13,
    defaults: [{ since: PG13, value: 'no table' }],
    instead: '',
  },
  allTables: {
    option: 'target.kind = allTables',
    keyword: 'FOR ALL TABLES',
    example: 'for all tables',
    since: PG13,
    alterSince: null,
    defaults: [{ since: PG13, value: 'the tables listed' }],
    instead:
      'Create a second publication with the other target, add it to the subscriptions, then take this one out of them.',
  },
  schemas: {
    option: 'target.schemas',
    keyword: 'FOR TABLES IN SCHEMA',
    example: 'for tables in schema public',
    since: PG15,
    defaults: [{ since: PG15, value: 'no schema' }],
    instead: 'List the tables instead, or publish all tables.',
  },
  columns: {
    option: 'target.tables.columns',
    keyword: 'column list',
    example: 'for table only public.t (id)',
    since: PG15,
    defaults: [{ since: PG13, value: 'every column' }],
    instead: 'Leave the column list out: this server sends every column.',
  },
  where: {
    option: 'target.tables.where',
    keyword: 'row filter (WHERE)',
    example: 'for table only public.t where (id > 0)',
    since: PG15,
    defaults: [{ since: PG13, value: 'every row' }],
    instead: 'Leave the row filter out: this server sends every row.',
  },
  except: {
    option: null,
    keyword: 'ALL TABLES EXCEPT',
    example: 'for all tables except (table public.t)',
    since: PG19,
    defaults: [{ since: PG13, value: 'no exception' }],
    instead: 'List the tables that are wanted.',
  },
  allSequences: {
    option: null,
    keyword: 'FOR ALL SEQUENCES',
    example: 'for all sequences',
    since: PG19,
    alterSince: null,
    defaults: [{ since: PG13, value: 'no sequence' }],
    instead: 'Sequences are not replicated before: set them on the subscriber before it takes writes.',
  },
  publish: {
    option: 'publish',
    keyword: 'publish',
    example: "with (publish = 'insert, truncate')",
    since: PG13,
    defaults: [{ since: PG13, value: 'insert, update, delete, truncate' }],
    instead: '',
  },
  viaPartitionRoot: {
    option: 'viaPartitionRoot',
    keyword: 'publish_via_partition_root',
    example: 'with (publish_via_partition_root = true)',
    since: PG13,
    defaults: [{ since: PG13, value: 'false' }],
    instead: '',
  },
  generatedColumns: {
    option: 'generatedColumns = stored',
    keyword: 'publish_generated_columns',
    example: 'with (publish_generated_columns = stored)',
    since: PG18,
    defaults: [{ since: PG13, value: 'none' }],
    instead: 'Leave it out: before 18 generated columns are computed on the subscriber.',
  },
} as const satisfies Record<string, OptionRule>;
