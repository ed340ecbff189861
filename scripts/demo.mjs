// `npm run demo`: builds when needed, then runs the demo.
import { ensureBuild } from './ensure-build.mjs';

ensureBuild();
await import('../dist/demo/main.js');
