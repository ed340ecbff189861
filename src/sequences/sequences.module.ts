import { Module } from '@nestjs/common';
import { ServersModule } from '../servers/servers.module.js';
import { SubscriptionsModule } from '../subscriptions/subscriptions.module.js';
import { LinkSequencesController } from './link-sequences.controller.js';
import { LinkSequencesService } from './link-sequences.service.js';
import { SequencesController } from './sequences.controller.js';
import { SequencesService } from './sequences.service.js';

@Module({
  imports: [ServersModule, SubscriptionsModule],
  controllers: [SequencesController, LinkSequencesController],
  providers: [SequencesService, LinkSequencesService],
})
export class SequencesModule {}
