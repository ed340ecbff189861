// `npm run bench -- at-rest` or `pages`: builds when needed, then measures. Each figure is a ratio within the same run.
import { ensureBuild } from './ensure-build.mjs';

ensureBuild();
await import('../dist/bench/main.js');
