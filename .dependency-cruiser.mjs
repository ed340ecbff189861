const src = '^src/';
const error = 'error';

/** The arrows of docs/architecture.md: each rule names what may not be imported from where, and why. */
export default {
  forbidden: [
    {
      name: 'no-circular',
      severity: error,
      comment: 'cycles break ESM with decorator metadata and hide missing layers',
      from: {},
      to: { circular: true, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'shared-imports-nothing',
      severity: error,
      comment: 'shared holds pure values',
      from: { path: '^src/shared/', pathNot: '\\.spec\\.ts$' },
      to: { pathNot: '^src/shared/' },
    },
    {
      name: 'pure-sql-and-ddl',
      severity: error,
      comment: 'statements are pure functions of a specification and a version',
      from: { path: '\\.(sql|ddl)\\.ts$' },
      to: { path: 'node_modules/(@nestjs|pg[^/]*|typeorm|@dbos-inc)/' },
    },
    {
      name: 'drivers-stay-home',
      severity: error,
      comment: 'only postgres/ and storage/ talk to a PostgreSQL driver',
      from: { path: src, pathNot: '^src/(postgres|storage)/|\\.spec\\.ts$' },
      to: { path: 'node_modules/(pg|pg-[^/]*|@electric-sql)/' },
    },
    {
      name: 'typeorm-stays-home',
      severity: error,
      comment: 'our own state goes through storage, entities and repositories',
      from: { path: src, pathNot: '^src/storage/|\\.(entity|repository)\\.ts$|\\.spec\\.ts$' },
      to: { path: 'node_modules/typeorm/' },
    },
    {
      name: 'engine-library-stays-home',
      severity: error,
      comment: 'the workflow library is an implementation detail of engine/',
      from: { path: src, pathNot: '^src/engine/' },
      to: { path: 'node_modules/@dbos-inc/' },
    },
    {
      name: 'postgres-knows-no-feature',
      severity: error,
      comment: 'arrows run controller -> service -> postgres',
      from: { path: '^src/postgres/', pathNot: '\\.spec\\.ts$' },
      to: { path: src, pathNot: '^src/(postgres|shared|problems|observability)/' },
    },
    {
      name: 'base-knows-no-feature',
      severity: error,
      comment: 'storage, engine, operations, problems, config, security and the API base serve features',
      from: {
        path: '^src/(storage|engine|problems|config|observability|security|api|changes|operations)/',
        pathNot: '\\.spec\\.ts$',
      },
      to: {
        path: '^src/(servers|publications|subscriptions|links|replication-slots|tables|sequences|lsn-clock|retention|topology|verification|upgrades|monitoring)/',
      },
    },
    {
      name: 'controllers-are-http-only',
      severity: error,
      comment: 'controllers call services',
      from: { path: '\\.controller\\.ts$' },
      to: { path: '^src/(postgres|storage|engine)/|\\.(entity|repository)\\.ts$' },
    },
    {
      name: 'nothing-uses-upgrades',
      severity: error,
      comment: 'upgrades sits on top of the features',
      from: { path: src, pathNot: '^src/(upgrades/|app\\.module\\.ts)' },
      to: { path: '^src/upgrades/' },
    },
    {
      name: 'only-upgrades-uses-verification',
      severity: error,
      comment: 'verification uses the features, not the reverse',
      from: { path: src, pathNot: '^src/(verification/|upgrades/|monitoring/|app\\.module\\.ts)' },
      to: { path: '^src/verification/' },
    },
    {
      name: 'src-knows-no-tests',
      severity: error,
      comment: 'production code never imports test support',
      from: { path: src, pathNot: '\\.spec\\.ts$' },
      to: { path: '^(test|demo|bench|soak)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs'],
    },
    exclude: { path: '^(dist|data)/' },
  },
};
