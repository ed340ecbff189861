// Compiles to dist/ and copies what the compiler leaves behind. Run through `npm run build`.
import { build } from './ensure-build.mjs';

build();
