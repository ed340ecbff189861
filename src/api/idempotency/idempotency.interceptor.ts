import {
  type BeforeApplicationShutdown,
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Request, Response } from 'express';
import { catchError, finalize, mergeMap, type Observable, of } from 'rxjs';
import { JsonLogger } from '../../observability/logger.js';
import { redactValue } from '../../observability/redact.js';
import { currentRequest } from '../../observability/request-context.js';
import { Problem, type ProblemOptions } from '../../problems/problem.js';
import type { ErrorCode } from '../../problems/error-codes.js';
import { toProblem } from '../../problems/to-problem.js';
import { noteDetails } from '../../security/audit-trail.js';
import { SecretBox } from '../../security/secret-box.js';
import { isDryRun } from '../dry-run.js';
import type { IdempotencyKeyEntity } from './idempotency-key.entity.js';
import {
  type ClaimedRequest,
  IdempotencyRepository,
  type KeptAnswer,
  LEASE_SECONDS,
} from './idempotency.repository.js';
import { SECRET_IN_RESPONSE } from './secret-in-response.decorator.js';

/** How long after a failed attempt to keep an answer the next is made. */
const KEEP_AGAIN_MS = 500;

/** A refusal as it is kept, so that a repeat is refused in the same words. */
interface KeptProblem {
  code: ErrorCode;
  detail: string;
  options: Omit<ProblemOptions, 'cause'>;
}

/** `Idempotency-Key`: a POST repeated with the same key and body by the same token is done once. */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor, BeforeApplicationShutdown {
  private stopping = false;

  constructor(
    private readonly keys: IdempotencyRepository,
    private readonly box: SecretBox,
    private readonly reflector: Reflector,
    private readonly logger: JsonLogger,
  ) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<Request>();
    const key = request.headers['idempotency-key'];
    const tokenId = currentRequest()?.actor?.id;
    if (request.method !== 'POST' || key === undefined || tokenId === undefined) return next.handle();
    // A dry run is safe to repeat, and must not use up the key that the real request is to come with.
    if (isDryRun(request)) return next.handle();
    const response = context.switchToHttp().getResponse<Response>();
    const mine: ClaimedRequest = {
      tokenId,
      keyHash: createHash('sha256').update(validKey(key)).digest(),
      requestHash: this.box.mac(canonical([request.method, request.path, request.query, request.body])),
      owner: randomUUID(),
    };
    const holder = await this.keys.claim(mine);
    if (holder !== null) return of(replay(holder, mine, response));
    return this.execute(mine, context, next, response);
  }

  beforeApplicationShutdown(): void {
    this.stopping = true;
  }

  private execute(mine: ClaimedRequest, context: ExecutionContext, next: CallHandler, response: Response) {
    const secretField = this.reflector.get<string | undefined>(SECRET_IN_RESPONSE, context.getHandler());
    const renewal = setInterval(() => void this.quietly(this.keys.renew(mine)), (LEASE_SECONDS * 1000) / 3).unref();
    let kept: Promise<void> = Promise.resolve();
    const complete = async (answer: KeptAnswer) => {
      const attempt = () => this.keys.complete(mine, answer);
      if (!(await this.quietly(attempt()))) kept = this.untilKept(attempt);
    };
    return next.handle().pipe(
      mergeMap(async (body: unknown) => {
        const location = (response.getHeader('Location') as string | undefined) ?? null;
        const shown = secretField === undefined ? body : without(body, secretField);
        await complete({ status: response.statusCode, location, body: shown });
        return body;
      }),
      catchError(async (error: unknown) => {
        const problem = toProblem(error);
        const final = problem.status < 500 && !problem.retryable;
        if (final) await complete({ status: problem.status, location: null, body: keep(problem) });
        else await this.quietly(this.keys.giveBack(mine));
        throw error;
      }),
      // Until the answer is kept the key must stay this execution's, or a repeat would do it all again.
      finalize(() => void kept.finally(() => clearInterval(renewal))),
    );
  }

  /** Goes on in the background, when the caller has its answer already. */
  private async untilKept(attempt: () => Promise<void>): Promise<void> {
    while (!this.stopping) {
      await delay(KEEP_AGAIN_MS, undefined, { ref: false });
      if (
        await attempt().then(
          () => true,
          () => false,
        )
      )
        return;
    }
  }

  /** The request has had its effect: failing to keep its answer must not change the answer. Answers whether it worked. */
  private async quietly(work: Promise<void>): Promise<boolean> {
    try {
      await work;
      return true;
    } catch (error) {
      this.logger.error('idempotency key not updated', { err: error });
      return false;
    }
  }
}

function replay(holder: IdempotencyKeyEntity, mine: ClaimedRequest, response: Response): unknown {
  if (!holder.requestHash.equals(mine.requestHash)) {
    throw new Problem('IDEMPOTENCY_KEY_REUSED', 'This Idempotency-Key came with another request before');
  }
  if (holder.status === null) {
    throw new Problem('REQUEST_IN_PROGRESS', 'The request with this Idempotency-Key has not ended yet');
  }
  noteDetails({ replayed: true });
  response.setHeader('Idempotent-Replayed', 'true');
  if (holder.status >= 400) {
    const { code, detail, options } = holder.body as KeptProblem;
    throw new Problem(code, detail, options);
  }
  response.status(holder.status);
  if (holder.location !== null) response.location(holder.location);
  return holder.body ?? undefined;
}

function keep({ code, detail, options: { cause: _cause, ...options } }: Problem): KeptProblem {
  return redactValue({ code, detail, options }) as KeptProblem;
}

function validKey(key: string | string[]): string {
  if (typeof key === 'string' && /^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw new Problem('INVALID_INPUT', 'Idempotency-Key must be 1 to 255 visible ASCII characters', {
    errors: [{ pointer: 'header:Idempotency-Key', detail: 'must be 1 to 255 visible ASCII characters' }],
  });
}

function without(body: unknown, field: string): unknown {
  const { [field]: _secret, ...rest } = body as Record<string, unknown>;
  return rest;
}

/** JSON with sorted keys: the order in which a caller writes fields does not matter. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}
