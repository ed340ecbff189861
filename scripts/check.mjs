// `npm run check`: every static check, in two lanes that take about as long as each other. All are run, and each that
// fails shows what it said.
import { spawn } from 'node:child_process';
import { ROOT } from './ensure-build.mjs';

const lanes = [['lint'], ['format:check', 'typecheck', 'layers', 'dead-code', 'docs:check']];

function check(name) {
  return new Promise((resolve) => {
    const run = spawn('npm', ['run', '--silent', name], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [run.stdout, run.stderr]) stream.on('data', (bytes) => (said += bytes));
    run.once('error', (error) => resolve({ name, failed: true, said: String(error) }));
    run.once('close', (code) => resolve({ name, failed: code !== 0, said }));
  });
}

async function lane(names) {
  let failed = false;
  for (const name of names) {
    const result = await check(name);
    console.log(`${result.failed ? 'failed' : 'ok'}  ${name}`);
    if (result.failed) console.log(result.said);
    failed ||= result.failed;
  }
  return failed;
}

const failed = (await Promise.all(lanes.map(lane))).some(Boolean);
process.exit(failed ? 1 : 0);
