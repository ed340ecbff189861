import { Module } from '@nestjs/common';
import { LsnClockModule } from '../lsn-clock/lsn-clock.module.js';
import { ServersModule } from '../servers/servers.module.js';
import { SubscriptionsModule } from '../subscriptions/subscriptions.module.js';
import { DriftService } from './drift/drift.service.js';
import { DriftWatch } from './drift/drift-watch.js';
import { LastLooks } from './drift/last-looks.js';
import { SchemaLookRepository } from './drift/schema-look.repository.js';
import { LinkAgreement } from './link-agreement.service.js';
import { LinkLooks } from './link-looks.js';
import { LinkTargets } from './link-target.js';
import { LinksController } from './links.controller.js';
import { LinksService } from './links.service.js';
import { WentBackWatch } from './went-back-watch.js';

@Module({
  imports: [ServersModule, SubscriptionsModule, LsnClockModule],
  controllers: [LinksController],
  providers: [
    ...[LinksService, LinkTargets, LinkLooks, LinkAgreement, WentBackWatch],
    ...[DriftService, LastLooks, SchemaLookRepository, DriftWatch],
  ],
  exports: [LinksService, DriftService],
})
export class LinksModule {}
