import { type LoggerService } from '@nestjs/common';
import { pino, type DestinationStream, type Logger } from 'pino';
import type { LogLevel } from '../config/config.js';
import { redactLiveSecrets, redactText, redactValue } from './redact.js';
import { currentRequest } from './request-context.js';

/**
 * JSON lines on standard output, each with the request it belongs to. Fields and messages are redacted before they
 * are written, so no caller has to think of it.
 */
export function createPino(level: LogLevel, destination?: DestinationStream): Logger {
  return pino(
    {
      level,
      base: undefined,
      timestamp: pino.stdTimeFunctions.isoTime,
      messageKey: 'message',
      formatters: {
        level: (label) => ({ level: label }),
        log: (fields) => redactValue(fields) as Record<string, unknown>,
      },
      mixin: () => {
        const request = currentRequest();
        return request === undefined ? {} : { requestId: request.requestId, actor: request.actor?.name };
      },
      hooks: {
        logMethod(args, method) {
          method.apply(
            this,
            args.map((arg: unknown) => (typeof arg === 'string' ? redactText(arg) : arg)) as typeof args,
          );
        },
        streamWrite: redactLiveSecrets,
      },
    },
    destination ?? pino.destination({ fd: 1, sync: true }),
  );
}

/** The logger that Nest and all our code use. Events are short lower-case names, everything else is fields. */
export class JsonLogger implements LoggerService {
  constructor(readonly pino: Logger) {}

  log(message: unknown, ...rest: unknown[]): void {
    this.write('info', message, rest);
  }

  error(message: unknown, ...rest: unknown[]): void {
    this.write('error', message, rest);
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.write('warn', message, rest);
  }

  debug(message: unknown, ...rest: unknown[]): void {
    this.write('debug', message, rest);
  }

  verbose(message: unknown, ...rest: unknown[]): void {
    this.write('trace', message, rest);
  }

  fatal(message: unknown, ...rest: unknown[]): void {
    this.write('fatal', message, rest);
  }

  /** Nest appends the context (a class name) and, for errors, the stack; objects among the rest are fields. */
  private write(
    level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal',
    message: unknown,
    rest: unknown[],
  ): void {
    const fields: Record<string, unknown> = {};
    const texts: string[] = [];
    for (const part of [message, ...rest]) {
      if (part instanceof Error) fields.err = part;
      else if (typeof part === 'object' && part !== null) Object.assign(fields, part);
      else if (typeof part === 'string') texts.push(part);
      else if (part !== undefined) texts.push(JSON.stringify(part) ?? typeof part);
    }
    const [text, ...more] = texts;
    const context = more.pop();
    if (context !== undefined) fields.context = context;
    if (more.length > 0) fields.stack = more.join('\n');
    this.pino[level](fields, text ?? (fields.err instanceof Error ? fields.err.message : ''));
  }
}
