import { Module } from '@nestjs/common';
import { LinksModule } from '../links/links.module.js';
import { ServersModule } from '../servers/servers.module.js';
import { LinkSequencesController } from './link-sequences.controller.js';
import { LinkSequencesService } from './link-sequences.service.js';
import { SequencesController } from './sequences.controller.js';
import { SequencesService } from './sequences.service.js';

@Module({
  imports: [ServersModule, LinksModule],
  controllers: [SequencesController, LinkSequencesController],
  providers: [SequencesService, LinkSequencesService],
  exports: [LinkSequencesService],
})
export class SequencesModule {}
