import { Global, Module } from '@nestjs/common';
import { OperationsModule } from '../operations/operations.module.js';
import { DbosEngine } from './dbos-engine.js';
import { Engine } from './engine.js';
import { Instances } from './instances.js';
import { Leases } from './leases.js';

@Global()
@Module({
  imports: [OperationsModule],
  providers: [Instances, Leases, DbosEngine, { provide: Engine, useExisting: DbosEngine }],
  exports: [Engine, DbosEngine, Leases, Instances],
})
export class EngineModule {}
