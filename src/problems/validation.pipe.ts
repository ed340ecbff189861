import { type ArgumentMetadata, Injectable, ValidationPipe } from '@nestjs/common';
import type { ValidationError } from 'class-validator';
import { type InputError, Problem } from './problem.js';

/**
 * Checks bodies and query strings against their DTO: unknown fields are refused, nothing is converted silently, and
 * each fault is located by a JSON pointer. Values are never repeated, since any of them may be a secret.
 */
@Injectable()
export class InputPipe extends ValidationPipe {
  constructor() {
    super({
      whitelist: true,
      forbidNonWhitelisted: true,
      transform: true,
      validateCustomDecorators: false,
      validationError: { target: false, value: true },
      exceptionFactory: (errors) => invalidInput(errors.flatMap((error) => faultsOf(error, []))),
    });
  }

  override async transform(given: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    // No body is one without fields: right where all are optional, and told field by field where they are not.
    const value = metadata.type === 'body' && given === undefined ? {} : given;
    if (metadata.type === 'body' && this.hasDto(metadata) && !isObject(value)) {
      throw invalidInput([{ pointer: '#', detail: 'must be a JSON object' }]);
    }
    try {
      return (await super.transform(value, metadata)) as unknown;
    } catch (error) {
      if (!(error instanceof Problem) || metadata.type === 'body') throw error;
      const errors = error.options.errors?.map(({ pointer, detail }) => ({
        pointer: `${metadata.type}:${pointer.replace(/^#\//, '')}`,
        detail,
      }));
      throw invalidInput(errors ?? []);
    }
  }

  private hasDto({ metatype }: ArgumentMetadata): boolean {
    return metatype !== undefined && metatype !== Object;
  }
}

/** A Problem that names each fault in its text too, for callers that print only the detail. */
export function invalidInput(errors: InputError[]): Problem {
  const shown = errors.slice(0, 5).map(({ pointer, detail }) => `${pointer}: ${detail}`);
  const rest = errors.length > shown.length ? ` and ${errors.length - shown.length} more` : '';
  return new Problem('INVALID_INPUT', `${shown.join('; ')}${rest}`, { errors });
}

/** Rules about the type: where one fails, the other rules of the field say nothing of interest. */
const TYPE_RULES = ['isString', 'isInt', 'isNumber', 'isBoolean', 'isObject', 'isArray', 'isIdentifier'];

/** Where the library's own words are of no help to a caller. */
const PLAIN_WORDS: Record<string, string> = {
  whitelistValidation: 'is not a known field',
  nestedValidation: 'must be an object',
  isDefined: 'is missing',
};

function faultsOf(error: ValidationError, parents: string[]): InputError[] {
  const path = [...parents, error.property];
  const constraints = Object.entries(error.constraints ?? {});
  const typeFault = constraints.find(([rule]) => TYPE_RULES.includes(rule));
  const own = (typeFault ? [typeFault] : constraints).map(([rule, message]) => ({
    pointer: pointerTo(path),
    detail: wordsFor(error, rule, message),
  }));
  return [...own, ...(error.children ?? []).flatMap((child) => faultsOf(child, path))];
}

function wordsFor({ property, value }: ValidationError, rule: string, message: string): string {
  const words = PLAIN_WORDS[rule] ?? withoutName(message, property);
  const isAbsent = value === undefined && rule !== 'whitelistValidation';
  return isAbsent && rule !== 'isDefined' ? `is missing: ${words}` : words;
}

/** RFC 6901 in its URI fragment form. */
export function pointerTo(path: string[]): string {
  return `#/${path.map((name) => encodeURIComponent(name.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;
}

function withoutName(message: string, name: string): string {
  return message.startsWith(`${name} `) ? message.slice(name.length + 1) : message;
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
