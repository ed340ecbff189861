import { Module } from '@nestjs/common';
import { OperationsModule } from '../operations/operations.module.js';
import { ServersModule } from '../servers/servers.module.js';
import { SubscriptionsModule } from '../subscriptions/subscriptions.module.js';
import { AtRestWorkflow } from './at-rest.workflow.js';
import { VerificationRepository } from './verification.repository.js';
import { VerificationsController } from './verifications.controller.js';
import { VerificationsService } from './verifications.service.js';

@Module({
  imports: [OperationsModule, ServersModule, SubscriptionsModule],
  controllers: [VerificationsController],
  providers: [VerificationRepository, AtRestWorkflow, VerificationsService],
  exports: [VerificationRepository],
})
export class VerificationModule {}
