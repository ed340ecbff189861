import { type ArgumentMetadata, Injectable, Param, type PipeTransform } from '@nestjs/common';
import { registerDecorator, type ValidationOptions } from 'class-validator';
import { invalidInput } from '../problems/validation.pipe.js';
import { identifierProblem } from '../shared/identifier.js';

/** Refuses path parameters that cannot name anything in PostgreSQL: empty, over 63 bytes, with a zero byte. */
@Injectable()
class NamePipe implements PipeTransform<unknown, string> {
  transform(value: unknown, { data }: ArgumentMetadata): string {
    const problem = typeof value === 'string' ? identifierProblem(value) : 'must be a name';
    if (problem !== null) throw invalidInput([{ pointer: `path:${data ?? ''}`, detail: problem }]);
    return value as string;
  }
}

/** A name in the path: percent-decoded, case-sensitive, any characters, at most 63 bytes. */
export function NameParam(parameter: string): ParameterDecorator {
  return Param(parameter, NamePipe);
}

/** The same rule for a field of a body. */
export function IsIdentifier(options: ValidationOptions = {}): PropertyDecorator {
  return (target, property) =>
    registerDecorator({
      name: 'isIdentifier',
      target: target.constructor,
      propertyName: property as string,
      options,
      validator: {
        validate: (value: unknown) => typeof value === 'string' && identifierProblem(value) === null,
        defaultMessage: ({ value } = { value: undefined } as never) =>
          typeof value === 'string' ? (identifierProblem(value) ?? '') : 'must be a string',
      },
    });
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** For path parameters that are ids of our own. */
@Injectable()
export class UuidPipe implements PipeTransform<unknown, string> {
  transform(value: unknown, { data }: ArgumentMetadata): string {
    if (typeof value === 'string' && UUID.test(value)) return value.toLowerCase();
    throw invalidInput([{ pointer: `path:${data ?? ''}`, detail: 'must be a UUID' }]);
  }
}
