import { parseArgs } from 'node:util';
import { benchAtRest } from './at-rest.js';
import { benchPages } from './pages.js';
import { type ShapeName, SHAPES } from './shapes.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '7' },
    from: { type: 'string', default: '14' },
    to: { type: 'string', default: '18' },
    shape: { type: 'string', default: 'wide' },
  },
});

const { shape, ...numbers } = values;
const options = Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, Number(value)]));
const { rows, rounds, from, to } = options as Record<keyof typeof numbers, number>;
const shapes = (shape === 'all' ? Object.keys(SHAPES) : [shape]) as ShapeName[];
async function verify(): Promise<void> {
  for (const each of shapes) await benchAtRest({ rows, rounds, from, to, shape: each });
}
const benches: Record<string, () => Promise<void>> = {
  verify,
  'at-rest': verify,
  pages: () => benchPages({ rounds, to }),
};
const chosen = benches[positionals.join()];
if (
  !chosen ||
  !shapes.every((each) => each in SHAPES) ||
  Object.values(options).some((value) => !Number.isInteger(value) || value < 1)
) {
  console.error(
    'usage: npm run bench -- verify [--shape=wide|narrow|jsonb|no-key|all] [--rows=1000000] [--rounds=7] [--from=14] [--to=18]',
  );
  console.error('       npm run bench -- pages [--rounds=7] [--to=18]');
  process.exit(2);
}
await chosen();
