import { Module } from '@nestjs/common';
import { ServerRepository } from './server.repository.js';
import { ServerUsage } from './server-usage.js';
import { ServersController } from './servers.controller.js';
import { ServersService } from './servers.service.js';

@Module({
  controllers: [ServersController],
  providers: [ServerRepository, ServerUsage, ServersService],
  exports: [ServersService, ServerUsage],
})
export class ServersModule {}
