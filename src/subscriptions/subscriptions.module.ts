import { Module } from '@nestjs/common';
import { LsnClockModule } from '../lsn-clock/lsn-clock.module.js';
import { ReplicationSlotsModule } from '../replication-slots/replication-slots.module.js';
import { ServersModule } from '../servers/servers.module.js';
import { LinksController } from './links.controller.js';
import { LinksService } from './links.service.js';
import { PublisherEnds } from './publisher-ends.js';
import { SubscriptionSlotOwners } from './subscription-slot-owners.js';
import { SubscriptionCreation } from './subscription-creation.js';
import { SubscriptionsController } from './subscriptions.controller.js';
import { SubscriptionsService } from './subscriptions.service.js';

@Module({
  imports: [ServersModule, ReplicationSlotsModule, LsnClockModule],
  controllers: [SubscriptionsController, LinksController],
  providers: [SubscriptionsService, SubscriptionCreation, PublisherEnds, LinksService, SubscriptionSlotOwners],
  exports: [SubscriptionsService, LinksService],
})
export class SubscriptionsModule {}
