import { expect, it } from '@jest/globals';
import { Problem } from './problem.js';
import { isStateAway } from './state-away.js';

function coded(code: string): Error {
  return Object.assign(new Error('x'), { code });
}

it.each(['ENOTFOUND', 'EAI_AGAIN', 'EPIPE', 'ECONNREFUSED', 'ENETUNREACH', '25006', '57P01', '08006', '53300'])(
  '%s says that our own database is away, also wrapped',
  (code) => {
    expect(isStateAway(coded(code))).toBe(true);
    expect(isStateAway(Object.assign(new Error('y'), { driverError: coded(code) }))).toBe(true);
  },
);

it.each(['23505', '57014', 'ENOENT', 'ERR_INVALID_ARG_TYPE'])('%s does not', (code) => {
  expect(isStateAway(coded(code))).toBe(false);
});

it('a failure of a managed server does not', () => {
  expect(isStateAway(new Problem('SERVER_UNREACHABLE', 'x', { cause: coded('ECONNREFUSED') }))).toBe(false);
});
