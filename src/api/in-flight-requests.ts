import { type BeforeApplicationShutdown, Injectable } from '@nestjs/common';
import type { NextFunction, Request, Response } from 'express';

/** How long shutdown waits for requests being served; longer than any statement limit would be longer than patience. */
const DRAIN_LIMIT_MS = 10_000;

/** Lets requests that are being served end before sessions and the state database are closed under them. */
@Injectable()
export class InFlightRequests implements BeforeApplicationShutdown {
  private count = 0;
  private drained: (() => void) | null = null;

  readonly track = (_request: Request, response: Response, next: NextFunction): void => {
    this.count++;
    response.once('close', () => {
      this.count--;
      if (this.count === 0) this.drained?.();
    });
    next();
  };

  async beforeApplicationShutdown(): Promise<void> {
    if (this.count === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, DRAIN_LIMIT_MS);
      this.drained = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
