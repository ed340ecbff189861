// Runs pg_dump 18 (WebAssembly) in a thread of its own. pg_dump talks to its server by synchronous writes and reads, so
// this thread blocks while the main thread, which owns the authenticated socket, fetches each answer.
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { pgDump } from '@electric-sql/pglite-tools/pg_dump';

/** The port carries bytes; `signal` is a SharedArrayBuffer the main thread bumps when an answer is on the port. */
const { port, signal, args, greeting } = workerData;
const flag = new Int32Array(signal);

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;
const QUERY = 'Q'.charCodeAt(0);
const SYNC = 'S'.charCodeAt(0);
const TERMINATE = 'X'.charCodeAt(0);

let started = false;
let unsent = Buffer.alloc(0);

/** Sends complete messages and blocks until the server is ready for the next query. */
function exchange(bytes) {
  const before = Atomics.load(flag, 0);
  port.postMessage(bytes);
  for (;;) {
    const received = receiveMessageOnPort(port);
    if (received) return received.message;
    Atomics.wait(flag, 0, before, 1000);
  }
}

/** libpq's side of the login is answered from here: the connection is authenticated already. */
function answerStartup(bytes) {
  const code = bytes.readInt32BE(4);
  if (code === SSL_REQUEST || code === GSS_REQUEST) return Buffer.from('N');
  started = true;
  return greeting;
}

function write(bytes, { onRawData }) {
  // libpq's buffer lies in memory that pg_dump reuses, and large queries come in pieces.
  unsent = Buffer.concat([unsent, bytes]);
  if (!started) {
    if (unsent.length < 8 || unsent.length < unsent.readInt32BE(0)) return;
    const answer = answerStartup(unsent);
    unsent = Buffer.alloc(0);
    onRawData(answer);
    return;
  }
  let end = 0;
  let awaitsAnswer = false;
  while (unsent.length >= end + 5) {
    const next = end + 1 + unsent.readInt32BE(end + 1);
    if (next > unsent.length) break;
    if (unsent[end] === TERMINATE) return;
    awaitsAnswer = unsent[end] === QUERY || unsent[end] === SYNC;
    end = next;
  }
  if (!awaitsAnswer) return;
  const complete = unsent.subarray(0, end);
  unsent = Buffer.from(unsent.subarray(end));
  onRawData(exchange(new Uint8Array(complete)));
}

// The package removes every line that begins with \restrict, also inside function bodies. The statement splitter removes
// the real ones, so this thread keeps the dump as pg_dump wrote it.
const replace = String.prototype.replace;
String.prototype.replace = function keepRestrictLines(pattern, ...rest) {
  if (pattern instanceof RegExp && pattern.source.includes('restrict\\b')) return String(this);
  return replace.call(this, pattern, ...rest);
};

try {
  const server = {
    execProtocolRawStream: write,
    query: async () => ({ rows: [{ search_path: '' }] }),
    exec: async () => [],
  };
  const file = await pgDump({ pg: server, args });
  parentPort.postMessage({ dump: await file.text() });
} catch (error) {
  parentPort.postMessage({ failure: error instanceof Error ? error.message : String(error) });
}
