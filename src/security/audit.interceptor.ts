import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { Request, Response } from 'express';
import { catchError, mergeMap, type Observable } from 'rxjs';
import { isDryRun } from '../api/dry-run.js';
import { JsonLogger } from '../observability/logger.js';
import { currentRequest } from '../observability/request-context.js';
import { toProblem } from '../problems/to-problem.js';
import type { AuditOutcome } from './audit-event.entity.js';
import { actionOf, subjectOf } from './audit-trail.js';
import { AuditService } from './audit.service.js';
import { isSafeMethod } from './scope.decorator.js';

/**
 * Leaves an audit event for every mutation. It is stored before the handler runs and ended afterwards, so that a
 * service that dies in between leaves a trace too.
 */
@Injectable()
export class AuditInterceptor implements NestInterceptor {
  constructor(
    private readonly audit: AuditService,
    private readonly logger: JsonLogger,
  ) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<Request>();
    if (isSafeMethod(request.method)) return next.handle();
    const response = context.switchToHttp().getResponse<Response>();
    const id = await this.audit.record({
      action: actionOf(context),
      subject: subjectOf(request),
      outcome: 'started',
    });
    return next.handle().pipe(
      mergeMap(async (answer: unknown) => {
        await this.finish(id, isDryRun(request) ? 'dry-run' : 'succeeded', response.statusCode);
        return answer;
      }),
      catchError(async (error: unknown) => {
        const problem = toProblem(error);
        const details = { problem: problem.code, detail: problem.detail };
        await this.finish(id, problem.status < 500 ? 'refused' : 'failed', problem.status, details);
        throw error;
      }),
    );
  }

  /** The effect has happened: not being able to end its event must not turn the answer into an error. */
  private async finish(
    id: string,
    outcome: AuditOutcome,
    status: number,
    more: Record<string, unknown> = {},
  ): Promise<void> {
    const { sql = [], details = {} } = currentRequest() ?? {};
    try {
      await this.audit.finish(id, { outcome, status, sql, details: { ...details, ...more } });
    } catch (error) {
      this.logger.error('audit event not ended', { auditEvent: id, outcome, err: error });
    }
  }
}
