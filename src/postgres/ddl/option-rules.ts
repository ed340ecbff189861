import { Problem } from '../../problems/problem.js';
import { identifierProblem } from '../../shared/identifier.js';
import { majorOf } from '../../shared/server-version.js';

/** Throws OPTION_NOT_SUPPORTED unless the server is at least `since`. `pointer` is a path into the specification, e.g. `/options/binary`. */
export function requireVersion(
  versionNum: number,
  since: number,
  option: string,
  pointer: string,
  instead: string,
): void {
  if (versionNum >= since) return;
  throw new Problem(
    'OPTION_NOT_SUPPORTED',
    `${option} needs PostgreSQL ${majorOf(since)}; this server is ${majorOf(versionNum)}`,
    {
      hint: instead,
      errors: [{ pointer: `#${pointer}`, detail: `needs PostgreSQL ${majorOf(since)}` }],
      extra: { option, minimumVersion: majorOf(since), serverVersion: majorOf(versionNum) },
    },
  );
}

export function invalidInput(pointer: string, detail: string, hint?: string): Problem {
  return new Problem('INVALID_INPUT', detail, {
    errors: [{ pointer: `#${pointer}`, detail }],
    ...(hint ? { hint } : {}),
  });
}

/** Throws INVALID_INPUT for a name the server would refuse or silently cut. */
export function requireIdentifier(name: string, pointer: string): void {
  const problem = identifierProblem(name);
  if (problem) throw invalidInput(pointer, `the name ${problem}`);
}

export function onOff(value: boolean): string {
  return value ? 'true' : 'false';
}
