import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';
import type { ExpressAdapter } from '@nestjs/platform-express';
import type { Request, Response } from 'express';
import { API_OPTIONS } from './api/configure-api.js';
import { DRY_RUN_ANSWER, type DryRunAnswer } from './api/dry-run.js';
import { AppModule } from './app.module.js';
import { PROBLEM_MEDIA_TYPE } from './problems/problem.filter.js';
import { ProblemDto } from './problems/problem.dto.js';

const METHODS = ['get', 'put', 'post', 'delete', 'patch'] as const;
const BEARER = 'token';

const DESCRIPTION = `Control plane for PostgreSQL replication: publications, subscriptions, slots, verification, upgrades.

- Calls carry \`Authorization: Bearer <token>\`. Scope \`read\` allows every GET, \`operate\` every change, \`admin\` also tokens and the audit log.
- Names in paths are percent-encoded, case-sensitive and at most 63 bytes.
- Anything longer than a request answers \`202\` with \`Location: /v1/operations/{id}\`.
- A POST with an \`Idempotency-Key\` can be repeated safely for 24 hours: the same key and body give the same answer.
- \`dryRun=true\` on anything that changes something answers 200 with what would be done (the exact SQL where it is known before, per server and in order, with its locks and whether it can run in a transaction) and does nothing. What the real request would refuse it refuses too. It takes no \`Idempotency-Key\`: the same key can be used for the real request.
- Lists answer \`{ items, nextCursor }\`.
- Errors are \`application/problem+json\` with a stable \`code\`.`;

/** The description of the API: OpenAPI 3.1, the same bytes for the same code. */
export function buildOpenApiDocument(app: INestApplication): OpenAPIObject {
  const config = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Lockstep')
    .setDescription(DESCRIPTION)
    .setVersion('v1')
    .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'A token made by `POST /v1/tokens`.' }, BEARER)
    .addSecurityRequirements(BEARER)
    .build();
  const document = SwaggerModule.createDocument(app, config, {
    extraModels: [ProblemDto],
    operationIdFactory: (controller, method) => `${controller.replace(/Controller$/, '')}_${method}`,
  });
  for (const path of Object.values(document.paths)) {
    for (const method of METHODS) {
      const operation = path[method] as Operation | undefined;
      if (operation) completeOperation(operation, method);
    }
  }
  const tags = new Set(operationsOf(document).flatMap(({ tags = [] }) => tags));
  document.tags = [...tags].sort().map((name) => ({ name }));
  // Times are text in an answer.
  return sorted(JSON.parse(JSON.stringify(document))) as OpenAPIObject;
}

/** Swagger UI at /docs, also for who comes to /, and the document at /openapi.json; open to everyone. */
export function setupSwagger(app: INestApplication): void {
  const redirect = (_request: Request, response: Response): void => response.redirect('/docs');
  (app.getHttpAdapter() as ExpressAdapter).get('/', redirect);
  SwaggerModule.setup('docs', app, () => buildOpenApiDocument(app), {
    jsonDocumentUrl: 'openapi.json',
    raw: ['json'],
    customSiteTitle: 'Lockstep API',
    swaggerOptions: { persistAuthorization: true, displayRequestDuration: true, tryItOutEnabled: true },
  });
}

/** The document without a database, a port or an environment: modules are read, nothing is started. */
export async function exportOpenApi(): Promise<OpenAPIObject> {
  const app = await NestFactory.create(AppModule, { ...API_OPTIONS, preview: true, logger: false });
  try {
    return buildOpenApiDocument(app);
  } finally {
    await app.close();
  }
}

interface Operation {
  tags?: string[];
  description?: string;
  security?: Record<string, string[]>[];
  responses: Record<string, { description?: string; content?: Record<string, Shown> }>;
  parameters?: { name: string; in: string; description?: string; required?: boolean; schema?: object }[];
  'x-public'?: boolean;
  'x-scope'?: string;
  [DRY_RUN_ANSWER]?: DryRunAnswer;
}

interface Shown {
  schema: unknown;
  example?: unknown;
  examples?: Record<string, { value: unknown }>;
}

/** Of path parameters, by name. */
const PATH_PARAMETERS: Record<string, string> = {
  server: 'Name of a registered server.',
  database: 'A database of that server.',
  publication: 'Name of the publication.',
  subscription: 'Name of the subscription.',
  repair: 'Id of a repair of the verification.',
  slot: 'Name of the replication slot.',
  schema: 'The schema it is in.',
  table: 'Name of the table.',
  sequence: 'Name of the sequence.',
  upgrade: 'Name of the upgrade.',
  id: 'As it was answered when it was made.',
};

function completeOperation(operation: Operation, method: (typeof METHODS)[number]): void {
  operation.responses.default = {
    description: 'A problem; `code` says which.',
    content: { [PROBLEM_MEDIA_TYPE]: { schema: { $ref: '#/components/schemas/ProblemDto' } } },
  };
  if (operation['x-public']) {
    operation.security = [];
  } else {
    const scope = operation['x-scope'] ?? (method === 'get' ? 'read' : 'operate');
    operation.description = [operation.description, `Scope: \`${scope}\`.`].filter(Boolean).join('\n\n');
  }
  for (const parameter of operation.parameters ?? []) {
    const description = PATH_PARAMETERS[parameter.name];
    if (parameter.in === 'path' && description) parameter.description ??= description;
  }
  describeDryRun(operation);
  delete operation['x-public'];
  delete operation['x-scope'];
  if (method === 'post') {
    operation.parameters = [
      ...(operation.parameters ?? []),
      {
        name: 'Idempotency-Key',
        in: 'header',
        required: false,
        description: 'Makes the request safe to repeat for 24 hours: same key and body, same answer.',
        schema: { type: 'string', maxLength: 255 },
      },
    ];
  }
}

/** A dry run answers 200, where a real run may answer 200 too, with something else. */
function describeDryRun(operation: Operation): void {
  const answer = operation[DRY_RUN_ANSWER];
  delete operation[DRY_RUN_ANSWER];
  if (answer === undefined) return;
  const real = operation.responses['200'];
  const done = real?.content?.['application/json'];
  const schemas = [done?.schema, { $ref: answer.schema }].filter(Boolean);
  const different = new Set(schemas.map((schema) => JSON.stringify(schema))).size > 1;
  const examples = [
    ...(done?.example === undefined ? [] : [['done', { value: done.example }]]),
    ...(answer.example === undefined ? [] : [['dry run', { value: answer.example }]]),
  ];
  operation.responses['200'] = {
    description: real ? 'Done; of a dry run: what would be done.' : 'Of a dry run: what would be done.',
    content: {
      'application/json': {
        schema: different ? { oneOf: schemas } : schemas[0],
        ...(examples.length > 0 ? { examples: Object.fromEntries(examples) as Shown['examples'] } : {}),
      },
    },
  };
}

function operationsOf(document: OpenAPIObject): Operation[] {
  return Object.values(document.paths).flatMap((path) =>
    METHODS.flatMap((method) => (path[method] as Operation | undefined) ?? []),
  );
}

/** Keys in one order, whatever order modules were loaded in; arrays keep theirs, and examples are shown as they are. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, part]) => [key, EXAMPLES.has(key) ? part : sorted(part)]),
  );
}

const EXAMPLES = new Set(['example', 'examples']);
