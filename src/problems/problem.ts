import { ERROR_CODES, type ErrorCode } from './error-codes.js';

/** One fault in the input, located by a JSON pointer (RFC 6901) into the body, or `query:name` / `path:name`. */
export interface InputError {
  pointer: string;
  detail: string;
}

export interface ProblemOptions {
  /** What to do about it. */
  hint?: string;
  /** SQLSTATE where a PostgreSQL server said it. */
  sqlstate?: string;
  errors?: InputError[];
  /** Overrides the code's default. */
  retryable?: boolean;
  /** Further members of the problem document, e.g. `checks`. Never secrets. */
  extra?: Record<string, unknown>;
  cause?: unknown;
}

/** An error the caller is told about: becomes an `application/problem+json` document (RFC 9457). */
export class Problem extends Error {
  readonly options: ProblemOptions;

  constructor(
    readonly code: ErrorCode,
    readonly detail: string,
    options: ProblemOptions = {},
  ) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Problem';
    this.options = options;
  }

  get status(): number {
    return ERROR_CODES[this.code].status;
  }

  get retryable(): boolean {
    return this.options.retryable ?? ERROR_CODES[this.code].retryable;
  }

  toDocument(requestId?: string, instance?: string): ProblemDocument {
    const { hint, sqlstate, errors, extra } = this.options;
    return {
      type: `urn:lockstep:problem:${this.code.toLowerCase().replaceAll('_', '-')}`,
      title: ERROR_CODES[this.code].title,
      status: this.status,
      detail: this.detail,
      code: this.code,
      retryable: this.retryable,
      ...(instance === undefined ? {} : { instance }),
      ...(requestId === undefined ? {} : { requestId }),
      ...(hint === undefined ? {} : { hint }),
      ...(sqlstate === undefined ? {} : { sqlstate }),
      ...(errors === undefined ? {} : { errors }),
      ...(extra ?? {}),
    };
  }
}

export interface ProblemDocument {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
  retryable: boolean;
  instance?: string;
  requestId?: string;
  hint?: string;
  sqlstate?: string;
  errors?: InputError[];
  [member: string]: unknown;
}
