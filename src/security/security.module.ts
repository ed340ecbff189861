import { Global, Module } from '@nestjs/common';
import { Config } from '../config/config.js';
import { ApiTokenRepository } from './api-token.repository.js';
import { AuditController } from './audit.controller.js';
import { AuditRepository } from './audit.repository.js';
import { AuditService } from './audit.service.js';
import { SecretBox } from './secret-box.js';
import { SecretKeyRepository } from './secret-key.repository.js';
import { TokensController } from './tokens.controller.js';
import { TokensService } from './tokens.service.js';

@Global()
@Module({
  controllers: [TokensController, AuditController],
  providers: [
    ApiTokenRepository,
    AuditRepository,
    AuditService,
    SecretKeyRepository,
    {
      provide: SecretBox,
      useFactory: (config: Config, keys: SecretKeyRepository) => SecretBox.open(config, keys),
      inject: [Config, SecretKeyRepository],
    },
    TokensService,
  ],
  exports: [AuditService, SecretBox, TokensService],
})
export class SecurityModule {}
