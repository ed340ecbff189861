import { setTimeout as delay } from 'node:timers/promises';

/**
 * Polls until `probe` neither throws nor returns false/undefined/null; rejects with its last failure after `within` ms.
 * What takes long is asked less often: questions keep from its work whoever is asked.
 */
export async function eventually<T>(
  probe: () => Promise<T> | T,
  { within, every = 100 }: { within: number; every?: number },
): Promise<NonNullable<T>> {
  const begin = Date.now();
  const deadline = begin + within;
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
    await delay(Math.max(every, Math.min(500, (Date.now() - begin) / 20)));
  }
}
