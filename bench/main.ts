import { parseArgs } from 'node:util';
import { benchAtRest } from './at-rest.js';

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
if (positionals.join() !== 'at-rest' || Object.values(options).some((value) => !Number.isInteger(value) || value < 1)) {
  console.error('usage: npm run bench -- at-rest [--rows=1000000] [--rounds=7] [--from=14] [--to=18]');
  process.exit(2);
}
await benchAtRest({ rows, rounds, from, to });
