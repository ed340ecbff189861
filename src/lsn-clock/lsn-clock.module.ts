import { Module } from '@nestjs/common';
import { ServersModule } from '../servers/servers.module.js';
import { LsnClock } from './lsn-clock.service.js';
import { LsnSampler } from './lsn-sampler.js';
import { LsnSampleRepository } from './lsn-sample.repository.js';

@Module({
  imports: [ServersModule],
  providers: [LsnSampleRepository, LsnSampler, LsnClock],
  exports: [LsnClock],
})
export class LsnClockModule {}
