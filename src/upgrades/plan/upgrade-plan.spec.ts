import { expect, it } from '@jest/globals';
import { finalizeStep } from '../steps/finalize.steps.js';
import { ABORT_ORDER, FORWARD_STEPS } from '../steps/index.js';
import { LEFT_SOURCE_STEPS, ROLLBACK_STEPS } from '../steps/rollback.steps.js';
import { FINALIZE_DESCRIPTIONS, LEFT_SOURCE_DESCRIPTIONS, ROLLBACK_DESCRIPTIONS } from './back.descriptions.js';
import { FORWARD_DESCRIPTIONS } from './forward.descriptions.js';
import { UNDO_DESCRIPTIONS } from './undo.descriptions.js';

const names = (steps: readonly { name: string }[]) => steps.map(({ name }) => name).sort();
const described = (descriptions: object) => Object.keys(descriptions).sort();

it('describes exactly the steps there are, so that no dry run keeps one back', () => {
  expect(described(FORWARD_DESCRIPTIONS)).toEqual(names(FORWARD_STEPS));
  expect(described(ROLLBACK_DESCRIPTIONS)).toEqual(names(ROLLBACK_STEPS));
  expect(described(LEFT_SOURCE_DESCRIPTIONS)).toEqual(names(LEFT_SOURCE_STEPS));
  expect(described(FINALIZE_DESCRIPTIONS)).toEqual(names([finalizeStep]));
  expect(described(UNDO_DESCRIPTIONS)).toEqual(names(ABORT_ORDER.filter((step) => step.undo !== undefined)));
});
