import {
  type NamedRelation,
  type PublishingRights,
  readNamedRelations,
  readPublishingRights,
  readNamedSchemas,
  type NamedSchema,
} from '../postgres/catalog/publication-objects.js';
import { explainPrivilege, giveTo, grantCreate } from '../changes/missing-privilege.js';
import { readOwner } from '../postgres/catalog/login-rights.js';
import type { Publication } from '../postgres/catalog/publications.js';
import { PUBLICATION_OPTIONS } from '../postgres/ddl/options/publication-options.js';
import { refusal, type RuleName } from '../postgres/ddl/options/combination-rules.js';
import {
  type NamedTable,
  type PublicationPatch,
  type PublicationSpec,
  wantedSchemas,
  wantedTables,
} from '../postgres/ddl/publication-spec.js';
import { identifier } from '../postgres/quoting.js';
import type { Session } from '../postgres/session.js';
import type { ErrorCode } from '../problems/error-codes.js';
import { type InputError, Problem } from '../problems/problem.js';
import { majorOf, PG18 } from '../shared/server-version.js';

type Request = Partial<PublicationSpec> & PublicationPatch;

/** SQLSTATE classes by which a server refuses a publication for what is, or is not, in the database. */
const EXPLAINED = new Set(['0A', '22', '3F', '42', '55']);

const VIA_ROOT = '/viaPartitionRoot';

const UNPUBLISHABLE_KINDS: Record<string, string> = {
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
  S: 'a sequence',
  i: 'an index',
  I: 'an index',
  c: 'a type',
};

/**
 * The server's refusal of a publication with the rule behind it, every place in the request that breaks it, and what
 * to do. Whoever the server lets do more than the rules say (managed services do) is not refused by us; so this is
 * asked once the server has refused. The error itself where no rule explains it.
 */
export async function explainRefusal(
  session: Session,
  error: unknown,
  request: Request,
  current: Publication | null = null,
): Promise<unknown> {
  if (!(error instanceof Problem) || !EXPLAINED.has(error.options.sqlstate?.slice(0, 2) ?? '')) return error;
  if (error.code === 'ALREADY_EXISTS') return error;
  // The explanation is a courtesy: where it cannot be had, the server's own words are the answer.
  return explain(session, error, request, current).catch(() => error);
}

async function explain(
  session: Session,
  error: Problem,
  request: Request,
  current: Publication | null,
): Promise<Problem> {
  const viaPartitionRoot = request.viaPartitionRoot ?? current?.viaPartitionRoot ?? false;
  const tables = [...wantedTables(request), ...standingTables(request, current)];
  const schemas = wantedSchemas(request);
  const relations = await readNamedRelations(session, tables);
  const names = schemas.map(({ schema }) => schema);
  const explained =
    unknownObjects(tables, relations, await readNamedSchemas(session, names), schemas) ??
    unpublishable(tables, relations) ??
    unsendableColumns(tables, relations, session.versionNum) ??
    listsWithoutViaRoot(tables, relations, viaPartitionRoot) ??
    (error.options.sqlstate === '42501'
      ? ((await foreignPublication(session, current)) ??
        missingRight(request, tables, relations, await readPublishingRights(session, request.owner ?? null)))
      : null) ??
    filterRefused(error, tables);
  return explained === null ? error : withServersWords(explained, error);
}

/** Tables that are listed already, as far as the request is about them. */
function standingTables({ viaPartitionRoot }: Request, current: Publication | null): NamedTable[] {
  if (viaPartitionRoot !== false || current === null || current.target.kind === 'allTables') return [];
  return current.target.tables.map((table) => ({ ...table, pointer: VIA_ROOT }));
}

type Schemas = ReturnType<typeof wantedSchemas>;

function unknownObjects(
  tables: NamedTable[],
  relations: NamedRelation[],
  found: NamedSchema[],
  schemas: Schemas,
): Problem | null {
  const errors: InputError[] = [];
  schemas.forEach(({ schema, pointer }, index) => {
    if (!found[index]!.found) errors.push({ pointer: `#${pointer}`, detail: `there is no schema ${quoted(schema)}` });
  });
  tables.forEach(({ pointer, schema, name }, index) => {
    const { kind, schemaExists } = relations[index]!;
    if (!schemaExists) errors.push({ pointer: `#${pointer}/schema`, detail: `there is no schema ${quoted(schema)}` });
    else if (kind === null) errors.push({ pointer: `#${pointer}`, detail: `there is no table ${quoted(name)} in it` });
  });
  if (errors.length > 0) return refused('known-objects', 'NOT_FOUND', errors);
  const columns = tables.flatMap(({ pointer, columns }, index) =>
    (columns ?? []).flatMap((column, place) =>
      Object.hasOwn(relations[index]!.columns, column)
        ? []
        : [{ pointer: `#${pointer}/columns/${place}`, detail: `there is no column ${quoted(column)}` }],
    ),
  );
  return columns.length > 0 ? refused('known-objects', 'INVALID_INPUT', columns) : null;
}

function unpublishable(tables: NamedTable[], relations: NamedRelation[]): Problem | null {
  const errors = tables.flatMap(({ pointer }, index) => {
    const why = unpublishableFor(relations[index]!);
    return why === null ? [] : [{ pointer: `#${pointer}`, detail: `is ${why}` }];
  });
  return errors.length > 0 ? refused('publishable', 'CONFLICT', errors) : null;
}

function unpublishableFor({ kind, persistence, system }: NamedRelation): string | null {
  if (kind !== 'r' && kind !== 'p') return UNPUBLISHABLE_KINDS[kind!] ?? 'no table';
  if (system) return 'a system table';
  if (persistence === 'u') return 'unlogged';
  return persistence === 't' ? 'temporary' : null;
}

function unsendableColumns(tables: NamedTable[], relations: NamedRelation[], versionNum: number): Problem | null {
  const unsendable = (generated: string | undefined) => generated === 'v' || (generated === 's' && versionNum < PG18);
  const errors = tables.flatMap(({ pointer, columns }, index) =>
    (columns ?? []).flatMap((column, place) =>
      unsendable(relations[index]!.columns[column])
        ? [{ pointer: `#${pointer}/columns/${place}`, detail: `${quoted(column)} is generated` }]
        : [],
    ),
  );
  if (errors.length === 0) return null;
  if (versionNum >= PG18) return refused('columns-can-be-sent', 'CONFLICT', errors);
  const option = PUBLICATION_OPTIONS.generatedColumns;
  return refused('columns-can-be-sent', 'OPTION_NOT_SUPPORTED', errors, {
    extra: { option: option.option, minimumVersion: majorOf(option.since), serverVersion: majorOf(versionNum) },
  });
}

function listsWithoutViaRoot(
  tables: NamedTable[],
  relations: NamedRelation[],
  viaPartitionRoot: boolean,
): Problem | null {
  if (viaPartitionRoot) return null;
  const errors = tables.flatMap(({ pointer, columns, where }, index) => {
    if (relations[index]!.kind !== 'p') return [];
    const fields = [...((columns ?? null) === null ? [] : ['columns']), ...((where ?? null) === null ? [] : ['where'])];
    const partitioned = `${quoted(relations[index]!.name)} is partitioned`;
    return fields.map((field) =>
      pointer === VIA_ROOT
        ? {
            pointer: `#${pointer}`,
            detail: `${partitioned} and has ${field === 'where' ? 'a filter' : 'a column list'}`,
          }
        : { pointer: `#${pointer}/${field}`, detail: partitioned },
    );
  });
  return errors.length > 0 ? refused('root-lists-need-via-root', 'CONFLICT', errors) : null;
}

async function foreignPublication(session: Session, current: Publication | null): Promise<Problem | null> {
  if (current === null) return null;
  const needs = { kind: 'owner', type: 'publication', name: current.name } as const;
  if ((await readOwner(session, needs))?.owned !== false) return null;
  const detail = `the publication belongs to ${quoted(current.owner)}`;
  const problem = new Problem('SERVER_PRIVILEGE_MISSING', detail, { errors: [{ pointer: '#', detail }] });
  return (await explainPrivilege(session, problem, [{ needs }])) as Problem;
}

function missingRight(
  { target, addSchemas, owner }: Request,
  tables: NamedTable[],
  relations: NamedRelation[],
  rights: PublishingRights,
): Problem | null {
  const { database, login } = rights;
  const missing = 'SERVER_PRIVILEGE_MISSING';
  const unowned = tables.flatMap(({ pointer }, index) => {
    const { owner, ownerSuperuser, owned, schema, name } = relations[index]!;
    if (owned || owner === null) return [];
    const grant = ownerSuperuser
      ? giveTo({ type: 'table', schema, name }, login)
      : `grant ${identifier(owner)} to ${identifier(login)};`;
    return [{ pointer: `#${pointer}`, detail: `belongs to ${quoted(owner)}`, grant }];
  });
  if (unowned.length > 0) {
    const grants = [...new Set(unowned.map(({ grant }) => grant))];
    const errors = unowned.map(({ pointer, detail }) => ({ pointer, detail }));
    return refused('owner-of-tables', missing, errors, { hint: grants.join(' ') });
  }
  if (!rights.mayCreate) {
    const detail = `the login ${quoted(rights.login)} lacks CREATE on the database`;
    return refused('create-on-database', missing, [{ pointer: '#', detail }], {
      hint: grantCreate({ database, login }),
    });
  }
  const whole = target !== undefined && target.kind !== 'tables' ? '#/target/kind' : addSchemas ? '#/addSchemas' : null;
  if (whole !== null && !rights.superuser) {
    const detail = `the login ${quoted(rights.login)} is no superuser`;
    const hint = `List the tables, or let a superuser do it: alter role ${identifier(login)} superuser;`;
    return refused('superuser-owns-all', missing, [{ pointer: whole, detail }], { hint });
  }
  if (owner === undefined || !rights.owner.exists) return null;
  const at = (detail: string) => [{ pointer: '#/owner', detail }];
  if (!rights.owner.loginIsMember) {
    const hint = `grant ${identifier(owner)} to ${identifier(rights.login)};`;
    return refused('owner-of-tables', missing, at('the login is no member of this role'), { hint });
  }
  if (!rights.owner.mayCreate) {
    return refused('create-on-database', 'CONFLICT', at('lacks CREATE on the database'), {
      hint: grantCreate({ database, login: owner }),
    });
  }
  // Of a list of tables anybody may be the owner: what is left is that this publication is none.
  return rights.owner.superuser ? null : refused('superuser-owns-all', 'CONFLICT', at('is no superuser'));
}

/** The server does not say which filter it means: all that are there are pointed at. */
function filterRefused(error: Problem, tables: NamedTable[]): Problem | null {
  const filtered = tables.filter(({ where, pointer }) => (where ?? null) !== null && pointer !== VIA_ROOT);
  if (filtered.length === 0 || error.code !== 'INVALID_INPUT') return null;
  const errors = filtered.map(({ pointer }) => ({ pointer: `#${pointer}/where`, detail: error.detail }));
  // A name that is not there breaks no rule of what an expression may be.
  const hint = error.options.sqlstate === '42703' ? { hint: 'Name columns of the table, as they are spelled.' } : {};
  return refused('filter-expression', 'INVALID_INPUT', errors, hint);
}

function refused(
  rule: RuleName,
  code: ErrorCode,
  errors: InputError[],
  options: { hint?: string; extra?: Record<string, unknown> } = {},
): Problem {
  const detail = errors.map(({ pointer, detail }) => `${pointer} ${detail}`).join('; ');
  return refusal(rule, code, detail, errors, options);
}

function withServersWords(explained: Problem, error: Problem): Problem {
  const { sqlstate } = error.options;
  return new Problem(explained.code, explained.detail, {
    ...explained.options,
    ...(sqlstate === undefined ? {} : { sqlstate }),
    cause: error,
  });
}

function quoted(name: string): string {
  return JSON.stringify(name);
}
