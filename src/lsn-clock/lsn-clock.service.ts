import { Injectable } from '@nestjs/common';
import type { Lsn } from '../shared/lsn.js';
import { LsnHistory } from './lsn-history.js';
import { LsnSampleRepository } from './lsn-sample.repository.js';

/** What the samples of a server's WAL positions tell. */
@Injectable()
export class LsnClock {
  constructor(private readonly samples: LsnSampleRepository) {}

  /** @param now where the server's WAL ends, read just before */
  async historyOf(server: string, now: Lsn): Promise<LsnHistory> {
    return new LsnHistory(await this.samples.of(server), now);
  }

  /** Whether the WAL of any server went back lately: it was restored, or another took over without the last of it. */
  async anyWentBack(withinSeconds: number): Promise<boolean> {
    return this.samples.anyFell(withinSeconds);
  }
}
