import type { WorkflowContext } from '../../engine/engine.js';
import type { Operations } from '../../operations/operations.js';
import { Problem } from '../../problems/problem.js';

const ENDS_WITHIN_SECONDS = 600;

/**
 * Waits until an operation that was cancelled has ended: its instance may still have to notice, or be taken over first.
 *
 * @param what tells the waits of one workflow apart
 */
export async function earlierEnded(
  context: WorkflowContext,
  operations: Operations,
  what: string,
  operationId: string,
): Promise<void> {
  for (let look = 1; look <= ENDS_WITHIN_SECONDS; look++) {
    const ended = await context.step(`${what}.${look}`, () => operations.hasEnded(operationId));
    if (ended) return;
    await context.receive(1);
  }
  throw new Problem('CONFLICT', 'what was at work on the upgrade until now does not stop', {
    hint: 'Another instance may still be carrying it; see GET /v1/operations. Then ask for the same again.',
    retryable: true,
  });
}
