import { Module } from '@nestjs/common';
import { LsnClockModule } from '../lsn-clock/lsn-clock.module.js';
import { ServersModule } from '../servers/servers.module.js';
import { FailoverReadinessService } from './failover-readiness.js';
import { ReplicationSlotsController } from './replication-slots.controller.js';
import { ReplicationSlotsService } from './replication-slots.service.js';
import { SlotOwners } from './slot-owners.js';
import { StandbySlotOwners } from './standby-slot-owners.js';

@Module({
  imports: [ServersModule, LsnClockModule],
  controllers: [ReplicationSlotsController],
  providers: [ReplicationSlotsService, SlotOwners, StandbySlotOwners, FailoverReadinessService],
  exports: [ReplicationSlotsService, SlotOwners],
})
export class ReplicationSlotsModule {}
