import { Injectable } from '@nestjs/common';
import { DbosEngine } from '../engine/dbos-engine.js';
import { StateDatabase } from '../storage/state-database.js';

export type Health = 'ok' | 'failed';

export interface Readiness {
  status: Health;
  checks: { state: Health; engine: Health };
}

/** What an orchestrator needs to know before it sends requests here. */
@Injectable()
export class HealthService {
  constructor(
    private readonly state: StateDatabase,
    private readonly engine: DbosEngine,
  ) {}

  async readiness(): Promise<Readiness> {
    const checks: Readiness['checks'] = {
      state: await this.state.ping().then(
        () => 'ok' as const,
        () => 'failed' as const,
      ),
      engine: this.engine.ready ? 'ok' : 'failed',
    };
    return { status: checks.state === 'ok' && checks.engine === 'ok' ? 'ok' : 'failed', checks };
  }
}
