import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { Request } from 'express';
import { currentRequest } from '../observability/request-context.js';
import { Problem } from '../problems/problem.js';
import { actionOf, subjectOf } from './audit-trail.js';
import { AuditService } from './audit.service.js';
import { PUBLIC } from './public.decorator.js';
import { includesScope, isSafeMethod, SCOPE, type TokenScope } from './scope.decorator.js';
import { TokensService } from './tokens.service.js';

/** Every route needs a token unless it says otherwise: forgetting a decorator closes a route, never opens it. */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly tokens: TokensService,
    private readonly audit: AuditService,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()];
    if (this.reflector.getAllAndOverride<boolean | undefined>(PUBLIC, targets)) return true;
    const request = context.switchToHttp().getRequest<Request>();
    const actor = await this.tokens.authenticate(bearerToken(request));
    const current = currentRequest();
    if (current) current.actor = actor;
    const wanted =
      this.reflector.getAllAndOverride<TokenScope | undefined>(SCOPE, targets) ??
      (isSafeMethod(request.method) ? 'read' : 'operate');
    if (includesScope(actor.scope, wanted)) return true;
    const problem = new Problem('FORBIDDEN', `this needs a token of scope ${wanted}, yours has ${actor.scope}`);
    // Requests without a valid token are only logged: nobody unknown may fill a table.
    if (!isSafeMethod(request.method)) {
      await this.audit.record({
        action: actionOf(context),
        subject: subjectOf(request),
        outcome: 'refused',
        status: problem.status,
        details: { problem: problem.code },
      });
    }
    throw problem;
  }
}

function bearerToken(request: Request): string {
  const match = /^Bearer +([^\s]+) *$/i.exec(request.headers.authorization ?? '');
  if (!match) throw new Problem('UNAUTHENTICATED', 'The Authorization header holds no bearer token');
  return match[1]!;
}
