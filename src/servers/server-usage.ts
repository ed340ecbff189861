import { Injectable } from '@nestjs/common';

/** Tells what of a feature uses a server, each in words, e.g. `upgrade "orders-14-to-18"`. */
export type ServerUsageCheck = (server: string) => Promise<string[]>;

/** Features that keep references to servers say so here, so that a server in use is not removed under them. */
@Injectable()
export class ServerUsage {
  private readonly checks: ServerUsageCheck[] = [];

  /** Call from the constructor of a provider. */
  register(check: ServerUsageCheck): void {
    this.checks.push(check);
  }

  async of(server: string): Promise<string[]> {
    return (await Promise.all(this.checks.map((check) => check(server)))).flat();
  }
}
