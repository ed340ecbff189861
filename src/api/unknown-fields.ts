import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import { RouteParamtypes } from '@nestjs/common/enums/route-paramtypes.enum.js';
import type { Request } from 'express';
import type { Observable } from 'rxjs';
import { invalidInput, pointerTo } from '../problems/validation.pipe.js';

/**
 * Refuses fields that nobody would read: of a query string or body for a handler that takes none. What a handler does
 * take is checked against its DTO. `?dryrun=true` that is silently a real run would be a disaster.
 */
@Injectable()
export class UnknownFieldsInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<Request>();
    const taken = takenBy(context);
    const unread = [
      ...(taken.has(RouteParamtypes.QUERY) ? [] : names(request.query).map((name) => `query:${name}`)),
      ...(taken.has(RouteParamtypes.BODY) ? [] : names(request.body).map((name) => pointerTo([name]))),
    ];
    if (unread.length === 0) return next.handle();
    throw invalidInput(unread.map((pointer) => ({ pointer, detail: 'is not a known field' })));
  }
}

function takenBy(context: ExecutionContext): Set<RouteParamtypes> {
  const parameters = Reflect.getMetadata(ROUTE_ARGS_METADATA, context.getClass(), context.getHandler().name) as
    Record<string, unknown> | undefined;
  return kindsOf(Object.keys(parameters ?? {}));
}

/**
 * The kinds of parameters a handler declares. Nest keeps them as `<kind>:<index>`, and those of decorators made by
 * createParamDecorator under random hexadecimal, of which one in forty begins like the number of query or body.
 */
export function kindsOf(keys: string[]): Set<RouteParamtypes> {
  return new Set(keys.filter((key) => /^\d+:\d+$/.test(key)).map((key) => Number.parseInt(key, 10) as RouteParamtypes));
}

function names(value: unknown): string[] {
  return typeof value === 'object' && value !== null ? Object.keys(value) : [];
}
