import type { ExecutionContext } from '@nestjs/common';
import type { Request } from 'express';
import { currentRequest } from '../observability/request-context.js';

/** Adds statements that were run (or, in a dry run, would be) on a managed server to the request's audit event. */
export function noteSql(...statements: string[]): void {
  currentRequest()?.sql.push(...statements);
}

/** Adds facts to the request's audit event. They are redacted, but leave secrets out all the same. */
export function noteDetails(details: Record<string, unknown>): void {
  const request = currentRequest();
  if (request) Object.assign(request.details, details);
}

/** For example `servers.register`: controller and handler. */
export function actionOf(context: ExecutionContext): string {
  const controller = context.getClass().name.replace(/Controller$/, '');
  const feature = controller.replace(/(?<!^)([A-Z])/g, '-$1').toLowerCase();
  return `${feature}.${context.getHandler().name}`;
}

/** For example `servers/orders-14`: the path below /v1, followed by the name in the body where a POST gives one. */
export function subjectOf(request: Request): string {
  const path = decoded(request.path).replace(/^\/v1\//, '');
  const name = (request.body as { name?: unknown } | undefined)?.name;
  return (request.method === 'POST' && typeof name === 'string' ? `${path}/${name}` : path).slice(0, 500);
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
