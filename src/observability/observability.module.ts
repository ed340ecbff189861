import { Global, Module } from '@nestjs/common';
import { Config } from '../config/config.js';
import { createPino, JsonLogger } from './logger.js';

@Global()
@Module({
  providers: [
    {
      provide: JsonLogger,
      useFactory: (config: Config) => new JsonLogger(createPino(config.logLevel)),
      inject: [Config],
    },
  ],
  exports: [JsonLogger],
})
export class ObservabilityModule {}
