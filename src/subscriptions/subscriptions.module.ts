import { Module } from '@nestjs/common';
import { LsnClockModule } from '../lsn-clock/lsn-clock.module.js';
import { ReplicationSlotsModule } from '../replication-slots/replication-slots.module.js';
import { ServersModule } from '../servers/servers.module.js';
import { PublisherEnds } from './publisher-ends.js';
import { LeftSlotRepository } from './left-slots/left-slot.repository.js';
import { LeftSlots } from './left-slots/left-slots.service.js';
import { OrphanedSlotsController } from './left-slots/orphaned-slots.controller.js';
import { SlotSharers } from './slot-sharers.js';
import { SubscriptionSlotOwners } from './subscription-slot-owners.js';
import { SlotChanges } from './slot-changes.js';
import { SubscriptionAlteration } from './subscription-alteration.js';
import { SubscriptionCreation } from './subscription-creation.js';
import { SubscriptionsController } from './subscriptions.controller.js';
import { SubscriptionsService } from './subscriptions.service.js';
import { DiagnosisService } from './stuck/diagnosis.service.js';
import { SkipService } from './stuck/skip.service.js';
import { StuckController } from './stuck/stuck.controller.js';
import { TakingUp } from './taking-up.js';
import { TablesNeedingVerification } from './tables-needing-verification.repository.js';

@Module({
  imports: [ServersModule, ReplicationSlotsModule, LsnClockModule],
  controllers: [SubscriptionsController, StuckController, OrphanedSlotsController],
  providers: [
    ...[SubscriptionsService, SubscriptionCreation, SubscriptionAlteration, SlotChanges, TakingUp],
    ...[PublisherEnds, SubscriptionSlotOwners],
    ...[LeftSlots, LeftSlotRepository, SlotSharers],
    ...[DiagnosisService, SkipService, TablesNeedingVerification],
  ],
  exports: [SubscriptionsService, PublisherEnds, TablesNeedingVerification],
})
export class SubscriptionsModule {}
