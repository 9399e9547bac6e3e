import eslint from '@eslint/js';
import typescript from 'typescript-eslint';
import { edgeSafe } from './scripts/lint/edge-safe.js';

export default typescript.config(
  {
    ignores: [
      '**/dist/**',
      '**/node_modules/**',
      '**/.portcullis/**',
      '**/.cache/**',
      '**/cdk.out/**',
      '**/.*.mjs',
      '**/coverage/**',
      // Compiled functions that stand in for the real ones: scripts of the edge runtime.
      'test/engine/fixture/**',
      'test/local-edge/functions/**',
    ],
  },
  eslint.configs.recommended,
  typescript.configs.recommended,
  {
    rules: {
      // TypeScript knows what is defined.
      'no-undef': 'off',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' },
      ],
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-restricted-imports': [
        'error',
        { patterns: [{ group: ['**/scripts/**'], message: 'Nothing imports scripts: see docs/architecture.md.' }] },
      ],
    },
  },
  {
    // The command line, tests and the build's own configuration stand above scripts.
    files: ['scripts/**', 'test/**', '**/*.test.ts', '*.ts', '*.js', 'tokens/build.mjs'],
    rules: { 'no-restricted-imports': 'off' },
  },
  {
    // What is compiled into CloudFront Functions: the part of the language that their runtime has.
    files: [
      'functions/**/*.ts',
      'tokens/src/core/**/*.ts',
      'tokens/src/compatibility/*-core.ts',
      'tokens/src/*-core.ts',
    ],
    ignores: ['**/*.test.ts', '**/*.d.ts'],
    ...edgeSafe,
  },
);
