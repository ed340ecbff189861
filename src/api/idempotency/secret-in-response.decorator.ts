import { SetMetadata } from '@nestjs/common';

export const SECRET_IN_RESPONSE = 'lockstep:secret-in-response';

/** Names the field of the answer that is shown once: it is not kept for repeats with the same `Idempotency-Key`. */
export function SecretInResponse(field: string): MethodDecorator {
  return SetMetadata(SECRET_IN_RESPONSE, field);
}
