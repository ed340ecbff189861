import { Global, Module } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Config } from '../config/config.js';
import { StateDatabase } from './state-database.js';

@Global()
@Module({
  providers: [
    { provide: StateDatabase, useFactory: (config: Config) => StateDatabase.open(config), inject: [Config] },
    { provide: DataSource, useFactory: (state: StateDatabase) => state.dataSource, inject: [StateDatabase] },
  ],
  exports: [StateDatabase, DataSource],
})
export class StorageModule {}
