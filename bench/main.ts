import { parseArgs } from 'node:util';
import { benchAtRest } from './at-rest.js';
import { benchPages } from './pages.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '7' },
    from: { type: 'string', default: '14' },
    to: { type: 'string', default: '18' },
  },
});

const options = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value)]));
const { rows, rounds, from, to } = options as Record<keyof typeof values, number>;
const benches: Record<string, () => Promise<void>> = {
  'at-rest': () => benchAtRest({ rows, rounds, from, to }),
  pages: () => benchPages({ rounds, to }),
};
const chosen = benches[positionals.join()];
if (!chosen || Object.values(options).some((value) => !Number.isInteger(value) || value < 1)) {
  console.error('usage: npm run bench -- at-rest [--rows=1000000] [--rounds=7] [--from=14] [--to=18]');
  console.error('       npm run bench -- pages [--rounds=7] [--to=18]');
  process.exit(2);
}
await chosen();
