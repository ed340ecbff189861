import { Module } from '@nestjs/common';
import { LinksModule } from '../links/links.module.js';
import { OperationsModule } from '../operations/operations.module.js';
import { ReplicationSlotsModule } from '../replication-slots/replication-slots.module.js';
import { SequencesModule } from '../sequences/sequences.module.js';
import { ServersModule } from '../servers/servers.module.js';
import { SubscriptionsModule } from '../subscriptions/subscriptions.module.js';
import { BesideRowsService } from './beside-rows.service.js';
import { AtRestWorkflow } from './at-rest.workflow.js';
import { DifferencesController } from './differences/differences.controller.js';
import { DifferencesService } from './differences/differences.service.js';
import { RepairController } from './repair/repair.controller.js';
import { RepairRepository } from './repair/repair.repository.js';
import { RepairService } from './repair/repair.service.js';
import { RepairWorkflow } from './repair/repair.workflow.js';
import { ResyncController } from './resync/resync.controller.js';
import { ResyncRepository } from './resync/resync.repository.js';
import { ResyncService } from './resync/resync.service.js';
import { ResyncWorkflow } from './resync/resync.workflow.js';
import { VerificationSlotOwners } from './verification-slot-owners.js';
import { VerificationChunks } from './verification-chunks.repository.js';
import { VerificationRepository } from './verification.repository.js';
import { VerificationsController } from './verifications.controller.js';
import { VerificationsService } from './verifications.service.js';

@Module({
  imports: [OperationsModule, ServersModule, LinksModule, SubscriptionsModule, ReplicationSlotsModule, SequencesModule],
  controllers: [VerificationsController, DifferencesController, RepairController, ResyncController],
  providers: [
    ...[
      VerificationRepository,
      VerificationChunks,
      AtRestWorkflow,
      VerificationsService,
      VerificationSlotOwners,
      DifferencesService,
      BesideRowsService,
    ],
    ...[RepairRepository, RepairWorkflow, RepairService],
    ...[ResyncRepository, ResyncWorkflow, ResyncService],
  ],
  exports: [VerificationRepository],
})
export class VerificationModule {}
