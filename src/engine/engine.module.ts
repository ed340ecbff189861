import { Global, Module } from '@nestjs/common';
import { OperationsModule } from '../operations/operations.module.js';
import { Cancellations } from './cancellation.repository.js';
import { DbosEngine } from './dbos-engine.js';
import { Engine } from './engine.js';
import { Instances } from './instance.repository.js';
import { Leases } from './lease.repository.js';

@Global()
@Module({
  imports: [OperationsModule],
  providers: [Cancellations, Instances, Leases, DbosEngine, { provide: Engine, useExisting: DbosEngine }],
  exports: [Engine, DbosEngine, Leases, Instances],
})
export class EngineModule {}
