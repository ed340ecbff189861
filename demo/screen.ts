/** How often the status is repeated as a line of its own where there is no terminal to update. */
const PLAIN_EVERY_MS = 2000;

/** Output of the demo: lines that stay, and one status line that a terminal keeps updating. */
export class Screen {
  private readonly started = performance.now();
  private readonly live = process.stdout.isTTY;
  private shown = '';
  private shownAt = 0;

  /** Seconds since the demo began. */
  get elapsed(): number {
    return (performance.now() - this.started) / 1000;
  }

  line(text: string): void {
    this.write(`${this.stamp()}  ${text}\n`);
  }

  /** Text without a time in front, for tables and instructions. */
  plain(text: string): void {
    this.write(`${text}\n`);
  }

  status(text: string): void {
    if (text === this.shown) return;
    if (this.live) {
      const room = Math.max(20, (process.stdout.columns || 80) - 1);
      process.stdout.write(`\r\x1b[2K${`${this.stamp()}  ${text}`.slice(0, room)}`);
    } else {
      if (performance.now() - this.shownAt < PLAIN_EVERY_MS) return;
      this.shownAt = performance.now();
      process.stdout.write(`${this.stamp()}  ${text}\n`);
    }
    this.shown = text;
  }

  private stamp(): string {
    return `${this.elapsed.toFixed(1).padStart(5)}s`;
  }

  private write(text: string): void {
    process.stdout.write(this.live ? `\r\x1b[2K${text}` : text);
    this.shown = '';
  }
}

export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

export function bytes(value: number): string {
  if (value < 1024) return `${value} B`;
  return value < 1024 * 1024 ? `${(value / 1024).toFixed(0)} kB` : `${(value / 1024 / 1024).toFixed(1)} MB`;
}
