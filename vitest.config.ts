import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { allFeatures } from './scripts/build/features.js';

// The SDK tells every test file which Node it will want one day; package.json says which one holds now.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const shared = {
  resolve: {
    alias: [
      { find: /^@portcullis\/tokens$/, replacement: here('./tokens/src/index.ts') },
      { find: /^@portcullis\/tokens\/(.*)$/, replacement: `${here('./tokens/src/')}$1.ts` },
    ],
  },
  define: allFeatures(),
};
/** `PORTCULLIS_TEST_REPORT` names a file for a machine-readable report beside the usual one. */
const report = process.env['PORTCULLIS_TEST_REPORT'];
const reporters = report
  ? { reporters: ['default', ['json', { outputFile: report }]] as ['default', ['json', object]] }
  : {};
const ignored = ['**/node_modules/**', '**/dist/**'];

export default defineConfig({
  test: {
    ...reporters,
    projects: [
      {
        ...shared,
        test: {
          name: 'unit',
          include: ['**/*.test.ts'],
          exclude: [...ignored, '**/*.browser.test.ts', '**/*.long.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'browser',
          include: ['**/*.browser.test.ts'],
          exclude: ignored,
          testTimeout: 180_000,
          hookTimeout: 180_000,
          fileParallelism: false,
          // Each page decodes video in software: three at once are what two cores play without stalls of their own.
          maxConcurrency: 3,
          // A browser short of processor time now and then never finishes loading a page; a page that is wrong is so again.
          retry: 2,
        },
      },
      {
        ...shared,
        test: {
          name: 'long',
          include: ['**/*.long.test.ts'],
          exclude: ignored,
          testTimeout: 1_800_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
