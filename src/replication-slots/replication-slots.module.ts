import { Module } from '@nestjs/common';
import { ServersModule } from '../servers/servers.module.js';
import { ReplicationSlotsController } from './replication-slots.controller.js';
import { ReplicationSlotsService } from './replication-slots.service.js';

@Module({
  imports: [ServersModule],
  controllers: [ReplicationSlotsController],
  providers: [ReplicationSlotsService],
  exports: [ReplicationSlotsService],
})
export class ReplicationSlotsModule {}
