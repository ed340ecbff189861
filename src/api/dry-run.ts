import {
  type CallHandler,
  createParamDecorator,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import { ApiExtension, ApiExtraModels, ApiQuery, getSchemaPath } from '@nestjs/swagger';
import type { NextFunction, Request, Response } from 'express';
import type { Observable } from 'rxjs';
import { Problem } from '../problems/problem.js';
import { invalidInput } from '../problems/validation.pipe.js';

const SUPPORTS_DRY_RUN = Symbol('supports dry run');

/** Where the API document keeps, until it is complete, what a dry run of the operation answers. */
export const DRY_RUN_ANSWER = 'x-dry-run-answer';

export interface DryRunAnswer {
  schema: string;
  example?: object;
}

interface WithDryRun extends Request {
  dryRun?: boolean;
}

/**
 * Takes `dryRun` out of the query string or the body of a mutation, so that DTOs need not list it and both places
 * mean the same.
 */
export function dryRunMiddleware(request: WithDryRun, _response: Response, next: NextFunction): void {
  if (['GET', 'HEAD', 'OPTIONS'].includes(request.method)) return next();
  const inQuery = fromQuery(request.query.dryRun);
  const body = request.body as Record<string, unknown> | undefined;
  const inBody = isObject(body) && Object.hasOwn(body, 'dryRun') ? body.dryRun : undefined;
  if (inQuery === 'bad') {
    return next(invalidInput([{ pointer: 'query:dryRun', detail: 'must be true or false' }]));
  }
  if (inBody !== undefined && typeof inBody !== 'boolean') {
    return next(invalidInput([{ pointer: '#/dryRun', detail: 'must be a boolean value' }]));
  }
  if (inQuery !== undefined && inBody !== undefined && inQuery !== inBody) {
    return next(invalidInput([{ pointer: '#/dryRun', detail: 'contradicts the query parameter of the same name' }]));
  }
  request.dryRun = inQuery ?? inBody ?? false;
  if (isObject(body)) delete body.dryRun;
  if (inQuery !== undefined) {
    const { dryRun: _taken, ...query } = request.query;
    // Express parses the query string at each look, so what it answers is replaced.
    Object.defineProperty(request, 'query', { value: query, configurable: true });
  }
  next();
}

/** Whether the caller asked for a dry run. */
export function isDryRun(request: Request): boolean {
  return (request as WithDryRun).dryRun === true;
}

const DryRunValue = createParamDecorator((_data: unknown, context: ExecutionContext) =>
  isDryRun(context.switchToHttp().getRequest<Request>()),
);

/**
 * Handler parameter of type boolean: true when the caller wants to know what would be done, without it being done.
 * Every mutation has one; a handler without it refuses dry runs. `answer` describes what a dry run answers, with
 * status 200, in the API document, and `example` shows one.
 */
export function DryRun<T extends object>(answer: Type<T>, example?: T): ParameterDecorator {
  return (target, property, index) => {
    const handler = Object.getOwnPropertyDescriptor(target, property!)!;
    Reflect.defineMetadata(SUPPORTS_DRY_RUN, true, handler.value as object);
    ApiQuery({
      name: 'dryRun',
      required: false,
      schema: { type: 'boolean', default: false },
      description: 'Answer with what would be done, in order, and do nothing. Also accepted as a field of the body.',
    })(target, property!, handler);
    ApiExtraModels(answer)(target, property, handler);
    ApiExtension(DRY_RUN_ANSWER, { schema: getSchemaPath(answer), example })(target, property, handler);
    DryRunValue()(target, property, index);
  };
}

/** A dry run that is silently a real run would be a disaster: handlers that cannot do one refuse it. */
@Injectable()
export class DryRunInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const http = context.switchToHttp();
    if (!isDryRun(http.getRequest<Request>())) return next.handle();
    if (Reflect.getMetadata(SUPPORTS_DRY_RUN, context.getHandler()) === true) {
      // Nothing is created, accepted or gone.
      http.getResponse<Response>().status(200);
      return next.handle();
    }
    throw new Problem('NOT_AVAILABLE', 'This action has no dry run; nothing was done', {
      errors: [{ pointer: 'query:dryRun', detail: 'is not available here' }],
    });
  }
}

function fromQuery(value: unknown): boolean | 'bad' | undefined {
  if (value === undefined) return undefined;
  if (value === 'true' || value === '') return true;
  return value === 'false' ? false : 'bad';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
