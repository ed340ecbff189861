export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/src/**/*.spec.ts', '<rootDir>/test/**/*.spec.ts', '<rootDir>/demo/**/*.spec.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: { '^.+\\.ts$': '@swc/jest' },
  // Does not end at times, for a reason not found yet: in `npm run soak -- crash` until it is.
  testPathIgnorePatterns: [
    '/node_modules/',
    ...(process.env.LOCKSTEP_SOAK === '1' ? [] : ['upgrade-verification-lost']),
  ],
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/data/'],
  coverageProvider: 'v8',
  maxWorkers: 2,
  workerIdleMemoryLimit: '768MB',
  testTimeout: 60_000,
};
