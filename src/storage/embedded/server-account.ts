import { readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** The operating system account a PostgreSQL server runs under. `null` ids mean "as ourselves". */
export interface ServerAccount {
  uid: number | null;
  gid: number | null;
}

/**
 * PostgreSQL refuses to run as root, so as root the server runs as `postgres` or else `nobody`.
 * initdb needs the account to have a passwd entry, which is why an invented uid will not do.
 */
export function serverAccount(): ServerAccount {
  if (process.getuid?.() !== 0) return { uid: null, gid: null };
  const entries = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const entry = entries.find((fields) => fields[0] === name);
    if (entry) return { uid: Number(entry[2]), gid: Number(entry[3]) };
  }
  throw new Error(
    'running as root, and /etc/passwd has neither "postgres" nor "nobody" to run a PostgreSQL server under; set DATABASE_URL',
  );
}

/** Whether the account may enter every folder above and including `path`. Always true when we run as that account. */
export function accountCanReach(account: ServerAccount, path: string): boolean {
  if (account.uid === null) return true;
  for (let folder = path; ; folder = dirname(folder)) {
    const stat = statSync(folder, { throwIfNoEntry: false });
    if (stat?.isDirectory()) {
      const bit = stat.uid === account.uid ? 0o100 : stat.gid === account.gid ? 0o010 : 0o001;
      if ((stat.mode & bit) === 0) return false;
    }
    if (dirname(folder) === folder) return true;
  }
}

export function chownFor(account: ServerAccount): { uid: number; gid: number } | null {
  return account.uid === null || account.gid === null ? null : { uid: account.uid, gid: account.gid };
}
