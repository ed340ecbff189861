import { Catch, type ArgumentsHost, type ExceptionFilter, type LoggerService } from '@nestjs/common';
import type { Request, Response } from 'express';
import { redactText, redactValue } from '../observability/redact.js';
import { currentRequest } from '../observability/request-context.js';
import { toProblem } from './to-problem.js';
import type { ProblemDocument } from './problem.js';

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

/** Seconds after which a caller may try a retryable request again. */
const RETRY_AFTER_SECONDS = 1;

/** Turns everything thrown while serving a request into a problem document (RFC 9457), free of secrets. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly logger: LoggerService) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<Response>();
    const request = host.switchToHttp().getRequest<Request>();
    const problem = toProblem(error);
    if (problem.status >= 500) {
      this.logger[problem.code === 'INTERNAL' ? 'error' : 'warn']('problem', {
        code: problem.code,
        detail: problem.detail,
        sqlstate: problem.options.sqlstate,
        err: problem.code === 'INTERNAL' ? (problem.options.cause ?? problem) : undefined,
      });
    }
    if (response.headersSent) {
      // A stream that fails half-way: the cut connection is all that can still be said.
      response.destroy();
      return;
    }
    const document = problem.toDocument(currentRequest()?.requestId, request.path);
    if (problem.status === 401) response.setHeader('WWW-Authenticate', 'Bearer');
    if (problem.retryable && problem.status !== 500) response.setHeader('Retry-After', String(RETRY_AFTER_SECONDS));
    response
      .status(problem.status)
      .type(PROBLEM_MEDIA_TYPE)
      .send(JSON.stringify(withoutSecrets(document)));
  }
}

/** Texts may carry a server's words, and a server may repeat what it was sent. */
function withoutSecrets(document: ProblemDocument): ProblemDocument {
  return { ...(redactValue(document) as ProblemDocument), code: document.code, title: redactText(document.title) };
}
