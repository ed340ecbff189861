import pg from 'pg';
import { CONSTRAINTS } from './constraints.js';
import { rowStatements } from './rows.js';
import { SCHEMAS, TABLES } from './tables.js';

/** Where a database is reached. */
export interface Endpoint {
  host: string;
  port: number;
  database: string;
}

export interface Login {
  user: string;
  password: string;
}

/** Roles of one demo database. Roles belong to the whole server, so each database's are prefixed with its own word. */
export interface DemoRoles {
  /** Owns every object; cannot log in. */
  owner: string;
  /** Group with write privileges; cannot log in. */
  app: string;
  /** Log in, write through the group. */
  writers: Login[];
  /** Logs in, reads only. */
  reader: Login;
}

export interface DemoOptions {
  /** Rows in all tables together, roughly; 0 for the schema alone. The default is a little above 300,000. */
  rows?: number;
  /** Prefix of the role names. */
  prefix?: string;
}

const DEFAULT_ROWS = 330_000;

export function demoRoles(prefix = 'orders'): DemoRoles {
  const login = (name: string): Login => ({ user: `${prefix}_${name}`, password: `${prefix} ${name} it's secret` });
  return {
    owner: `${prefix}_owner`,
    app: `${prefix}_app`,
    writers: [login('writer_a'), login('writer_b')],
    reader: login('reader'),
  };
}

/**
 * Fills an existing, empty database with the demo schema and its rows. `admin` is a superuser's way in. Roles that the
 * server has already are kept as they are.
 */
export async function loadDemo(admin: Endpoint & Login, options: DemoOptions = {}): Promise<DemoRoles> {
  const roles = demoRoles(options.prefix);
  const { host, port, database, user, password } = admin;
  const client = new pg.Client({ host, port, database, user, password });
  await client.connect();
  try {
    for (const statement of roleStatements(roles)) await client.query(statement);
    await client.query(`set timezone = 'UTC'; set search_path = pg_catalog; ${schemaStatements(roles)}`);
    await client.query(`set role ${roles.owner}`);
    await client.query(TABLES);
    for (const statement of rowStatements(options.rows ?? DEFAULT_ROWS)) await client.query(statement);
    await client.query(CONSTRAINTS);
    await client.query('reset role');
    await client.query('analyze');
  } finally {
    await client.end();
  }
  return roles;
}

/** Creates a database, loads the demo into it and answers how it is reached. */
export async function createDemoDatabase(
  admin: Endpoint & Login,
  database: string,
  options: DemoOptions = {},
): Promise<DemoRoles> {
  const { host, port, user, password } = admin;
  const client = new pg.Client({ host, port, user, password, database: admin.database });
  await client.connect();
  try {
    await client.query(`create database ${pg.escapeIdentifier(database)}`);
  } finally {
    await client.end();
  }
  return loadDemo({ ...admin, database }, options);
}

function roleStatements({ owner, app, writers, reader }: DemoRoles): string[] {
  const create = [
    `create role ${owner}`,
    `create role ${app}`,
    ...writers.map((login) => `create role ${login.user} ${loginClause(login)} in role ${app}`),
    `create role ${reader.user} ${loginClause(reader)} connection limit 5`,
  ];
  // Another database of the same server may have brought the role, even at this moment.
  return create.map(
    (statement) =>
      `do $do$ begin ${statement}; exception when duplicate_object or unique_violation then null; end $do$`,
  );
}

function loginClause({ password }: Login): string {
  return `login password ${pg.escapeLiteral(password)}`;
}

function schemaStatements({ owner, app, reader }: DemoRoles): string {
  const schemas = SCHEMAS.map((schema) => pg.escapeIdentifier(schema));
  const all = schemas.join(', ');
  const inSchemas = `alter default privileges for role ${owner} in schema ${all}`;
  return [
    // Up to version 14 everybody may create in public, which would make even the reader a writer.
    'revoke create on schema public from public',
    ...schemas.map((schema) => `create schema ${schema} authorization ${owner}`),
    `grant usage on schema ${all} to ${app}, ${reader.user}`,
    `${inSchemas} grant select, insert, update, delete on tables to ${app}`,
    `${inSchemas} grant usage, select on sequences to ${app}`,
    `${inSchemas} grant select on tables to ${reader.user}`,
  ].join('; ');
}
