export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/src/**/*.spec.ts', '<rootDir>/test/**/*.spec.ts', '<rootDir>/demo/**/*.spec.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: { '^.+\\.ts$': '@swc/jest' },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/data/'],
  coverageProvider: 'v8',
  // One more than the cores of the machine it is measured on: a third of the time a spec waits for servers.
  maxWorkers: 3,
  testSequencer: '<rootDir>/jest.sequencer.mjs',
  workerIdleMemoryLimit: '768MB',
  testTimeout: 60_000,
};
