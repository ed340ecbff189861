import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';

/** How long shutdown waits for requests being served; longer than any statement limit would be longer than patience. */
const DRAIN_LIMIT_MS = 10_000;

/**
 * Lets requests that are being served end before sessions and the state database are closed under them. Event streams
 * are not waited for: they would never end, and their readers resume elsewhere.
 */
@Injectable()
export class InFlightRequests implements BeforeApplicationShutdown {
  private readonly responses = new Set<Response>();
  private drained: (() => void) | null = null;

  readonly track = (_request: Request, response: Response, next: NextFunction): void => {
    this.responses.add(response);
    response.once('close', () => {
      this.responses.delete(response);
      if (!this.anyToWaitFor()) this.drained?.();
    });
    next();
  };

  async beforeApplicationShutdown(): Promise<void> {
    if (!this.anyToWaitFor()) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, DRAIN_LIMIT_MS);
      this.drained = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private anyToWaitFor(): boolean {
    return [...this.responses].some(
      (response) => !String(response.getHeader('Content-Type')).startsWith('text/event-stream'),
    );
  }
}
