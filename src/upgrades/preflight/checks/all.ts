import type { Check } from '../check.js';
import { activityChecks } from './activity.js';
import { capacityChecks } from './capacity.js';
import { clockChecks } from './clocks.js';
import { configurationChecks } from './configuration.js';
import { connectionChecks } from './connections.js';
import { constraintChecks } from './constraints.js';
import { existingReplicationChecks } from './existing-replication.js';
import { extensionChecks } from './extensions.js';
import { localeChecks } from './locale.js';
import { nameChecks } from './names.js';
import { notCarriedChecks } from './not-carried.js';
import { privilegeChecks } from './privileges.js';
import { replicaIdentityChecks } from './replica-identity.js';
import { restorableChecks } from './restorable.js';
import { roleChecks } from './roles.js';
import { serverChecks } from './servers.js';
import { settingChecks } from './settings.js';
import { targetEmptyChecks } from './target-empty.js';
import { triggerChecks } from './triggers.js';
import { typeChecks } from './types.js';
import { versionChecks } from './versions.js';
import { walRateChecks } from './wal-rate.js';

/** Every check, in the order of the report. */
export const ALL_CHECKS: readonly Check[] = [
  ...versionChecks,
  ...serverChecks,
  ...clockChecks,
  ...connectionChecks,
  ...capacityChecks,
  ...privilegeChecks,
  ...replicaIdentityChecks,
  ...notCarriedChecks,
  ...activityChecks,
  ...targetEmptyChecks,
  ...extensionChecks,
  ...localeChecks,
  ...existingReplicationChecks,
  ...triggerChecks,
  ...constraintChecks,
  ...typeChecks,
  ...nameChecks,
  ...settingChecks,
  ...walRateChecks,
  ...configurationChecks,
  ...roleChecks,
  ...restorableChecks,
];
