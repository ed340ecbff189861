import { setTimeout as delay } from 'node:timers/promises';

/** Polls until `probe` neither throws nor returns false/undefined/null; rejects with its last failure after `within` ms. */
export async function eventually<T>(
  probe: () => Promise<T> | T,
  { within, every = 100 }: { within: number; every?: number },
): Promise<NonNullable<T>> {
  const deadline = Date.now() + within;
  for (;;) {
    let failure: unknown = new Error('the condition stayed false');
    try {
      const value = await probe();
      if (value !== false && value !== undefined && value !== null) return value;
    } catch (error) {
      failure = error;
    }
    if (Date.now() > deadline) {
      throw new Error(`not within ${within} ms: ${failure instanceof Error ? failure.message : String(failure)}`, {
        cause: failure,
      });
    }
    await delay(every);
  }
}
