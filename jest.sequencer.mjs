import Sequencer from '@jest/test-sequencer';

/** Whole upgrades take minutes each: begun last, one of them would keep one worker busy while the other has nothing left. */
export default class LongestFirst extends Sequencer {
  sort(tests) {
    const long = ({ path }) => path.includes('/acceptance/upgrade-');
    const sorted = super.sort(tests);
    return [...sorted.filter(long), ...sorted.filter((test) => !long(test))];
  }
}
