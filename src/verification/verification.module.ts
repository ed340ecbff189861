import { Module } from '@nestjs/common';
import { OperationsModule } from '../operations/operations.module.js';
import { ReplicationSlotsModule } from '../replication-slots/replication-slots.module.js';
import { ServersModule } from '../servers/servers.module.js';
import { SubscriptionsModule } from '../subscriptions/subscriptions.module.js';
import { AtRestWorkflow } from './at-rest.workflow.js';
import { VerificationSlotOwners } from './verification-slot-owners.js';
import { VerificationRepository } from './verification.repository.js';
import { VerificationsController } from './verifications.controller.js';
import { VerificationsService } from './verifications.service.js';

@Module({
  imports: [OperationsModule, ServersModule, SubscriptionsModule, ReplicationSlotsModule],
  controllers: [VerificationsController],
  providers: [VerificationRepository, AtRestWorkflow, VerificationsService, VerificationSlotOwners],
  exports: [VerificationRepository],
})
export class VerificationModule {}
