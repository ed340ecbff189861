import type { Type } from '@nestjs/common';
import { ApiBody } from '@nestjs/swagger';

/**
 * Documents the body with an example that works as it is given. Made up field by field, one would name every optional
 * field, and not all of them go together.
 */
export function ExampleBody(type: Type<unknown>, value: object, { required = true } = {}): MethodDecorator {
  return ExampleBodies(type, { example: value }, { required });
}

/** The same for a route of several uses; `examples` are by what they do, the usual one first. */
export function ExampleBodies(
  type: Type<unknown>,
  examples: Record<string, object>,
  { required = true } = {},
): MethodDecorator {
  const named = Object.entries(examples).map(([name, value]) => [name, { value }]);
  return ApiBody({ type, required, examples: Object.fromEntries(named) as Record<string, { value: object }> });
}
