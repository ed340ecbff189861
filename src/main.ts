import { startLockstep } from './serve.js';

try {
  await startLockstep();
} catch (error) {
  // Before the logger exists, or when it cannot be made: the reason in plain words, and no stack for a setting to mend.
  process.stderr.write(`lockstep cannot start: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
