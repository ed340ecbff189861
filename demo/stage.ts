import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The demo's temporary folder and everything that has to be stopped before it is removed, last started first. */
export class Stage {
  readonly folder = mkdtempSync(join(tmpdir(), 'lockstep-demo-'));
  private readonly closers: (() => Promise<void>)[] = [];
  private closing: Promise<void> | null = null;

  constructor() {
    // As root the servers run under another account, which has to reach its data folder.
    chmodSync(this.folder, 0o711);
  }

  onClose(close: () => Promise<void>): void {
    this.closers.push(close);
  }

  /** Stops everything; one that fails does not keep the others running. Safe to call more than once. */
  close(): Promise<void> {
    this.closing ??= this.closeAll();
    return this.closing;
  }

  private async closeAll(): Promise<void> {
    for (const close of this.closers.reverse()) {
      await close().catch((error: unknown) => console.error(error));
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
