import type { Type } from '@nestjs/common';
import { ApiBody } from '@nestjs/swagger';

/**
 * Documents the body with an example that works as it is given. Made up field by field, one would name every optional
 * field, and not all of them go together.
 */
export function ExampleBody(type: Type<unknown>, value: object, { required = true } = {}): MethodDecorator {
  return ApiBody({ type, required, examples: { example: { value } } });
}
