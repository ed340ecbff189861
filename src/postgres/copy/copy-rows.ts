import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { from, to } from 'pg-copy-streams';
import type { Session } from '../session.js';
import { translateError } from '../translate-error.js';

export interface CopyRows {
  source: Session;
  /** `copy (...) to stdout`. */
  copyTo: string;
  target: Session;
  /** `copy ... from stdin`. */
  copyFrom: string;
  /** Told of the bytes sent so far. */
  onBytes?: (bytes: number) => void;
  signal?: AbortSignal;
}

/**
 * Streams rows from one session into another, at the pace of the slower one; each statement runs in the transaction its
 * session has open. Answers how many rows went in. When it rejects, both sessions may be unusable: close them.
 */
export async function copyRows({ source, copyTo, target, copyFrom, onBytes, signal }: CopyRows): Promise<number> {
  const reader = source.driver.query(to(copyTo));
  const writer = target.driver.query(from(copyFrom));
  let bytes = 0;
  const meter = new Transform({
    transform: (chunk: Buffer, _encoding, done) => {
      bytes += chunk.length;
      onBytes?.(bytes);
      done(null, chunk);
    },
  });
  try {
    await pipeline(reader, meter, writer, signal ? { signal } : {});
    return writer.rowCount ?? 0;
  } catch (error) {
    throw translateError(error, `copying from ${source.where} to ${target.where}`);
  }
}
