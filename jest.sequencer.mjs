import Sequencer from '@jest/test-sequencer';

/** What takes a minute or more: begun last, one of them would keep one worker busy while the others have nothing left. */
const LONG =
  /\/(upgrade-.*|state|link-drift.*|odd-names|subscriptions-lifecycle|silent-publisher|preflight-(environment|privileges)|publications-many|verification-(many|crash|shapes)|stuck-subscription|least-privilege-logical|schema-restore)\.spec\.ts$/;

export default class LongestFirst extends Sequencer {
  sort(tests) {
    const rank = ({ path }) => (path.includes('/acceptance/upgrade-') ? 0 : LONG.test(path) ? 1 : 2);
    return super.sort(tests).sort((one, other) => rank(one) - rank(other));
  }
}
