import { Transform, type TransformFnParams } from 'class-transformer';
import { Problem } from '../problems/problem.js';

/**
 * Values that the API reserves and this release does not implement: refused with NOT_AVAILABLE before anything else
 * is said about the body, because settings that belong to them are not known here and would be called unknown fields.
 */
export function NotAvailableYet(pointer: string, values: readonly string[]): PropertyDecorator {
  return Transform(({ value }: TransformFnParams): unknown => {
    if (typeof value !== 'string' || !values.includes(value)) return value;
    throw new Problem('NOT_AVAILABLE', `${JSON.stringify(value)} is not available in this release`, {
      errors: [{ pointer, detail: 'is not available in this release' }],
    });
  });
}
