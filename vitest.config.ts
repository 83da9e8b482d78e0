import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const built = (path: string) => fileURLToPath(new URL(`./dist/${path}`, import.meta.url));

/** What users import, for the tests that run what was built. */
const alias = {
  'tandem/client': built('client/node.js'),
  'tandem/testkit': built('client/testkit/index.js'),
  'tandem/server': built('server/index.js'),
  'tandem/compiler': built('compiler/index.js'),
};

export default defineConfig({
  test: {
    reporters: ['default'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/{shared,simulate,compiler,models,server,client,runtimes}/**/*.test.ts'],
          setupFiles: ['test/helpers/seed.ts'],
          // Property tests on a machine that has more to do.
          testTimeout: 20_000,
        },
      },
      {
        resolve: { alias },
        test: {
          name: 'system',
          include: ['test/{system,browser}/**/*.test.ts'],
          globalSetup: ['test/helpers/global-setup.ts'],
          // They start servers and browsers that share two cores.
          fileParallelism: false,
          // Against what hangs: machines differ by a factor of three. What is to be soon is expected to be by the tests themselves.
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
