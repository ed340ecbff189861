// `npm start`: builds when needed, then serves in this same process, so that signals arrive.
import { ensureBuild } from './ensure-build.mjs';

ensureBuild();
await import('../dist/src/main.js');
