import { Problem } from '../../problems/problem.js';
import { identifierProblem } from '../../shared/identifier.js';

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
