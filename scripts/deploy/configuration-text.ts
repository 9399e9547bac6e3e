// Writes `portcullis.config.ts` from the wizard's answers: every line says what it means.
import type { Placement } from '@portcullis/tokens';
import { pathHead } from '@portcullis/tokens/placement';
import type { ConfigurationAnswers } from './propose.js';

const quoted = (text: string): string => `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;

/** The `placements` of the configuration, in its own words. */
function placementText(placement: Placement): string {
  switch (placement.kind) {
    case 'path':
      return placement.mode === 'first'
        ? "{ path: 'first' }"
        : `{ path: { ${placement.mode}: ${quoted(pathHead(placement))} } }`;
    case 'header':
    case 'authorization':
      return `{ ${placement.kind}: true }`;
    default:
      return `{ ${placement.kind}: ${placement.name === undefined ? 'true' : quoted(placement.name)} }`;
  }
}

function placementComment(placement: Placement): string {
  if (placement.kind !== 'path') return 'Where tokens are looked for. The player repeats this on every request.';
  return 'Where tokens are looked for. In the path, relative URLs in manifests carry them on by themselves.';
}

/**
 * The text of a configuration file.
 *
 * @param importFrom what `defineConfig` is imported from; absent: the object is exported as it is
 */
export function configurationText(answers: ConfigurationAnswers, importFrom?: string): string {
  const { smoke } = answers;
  const lines = [
    '// Portcullis: who may watch, and where that is decided. Every setting is described in docs/configuration.md.',
    '// No secret belongs in here: signing keys are made with `portcullis keys add`.',
    ...(importFrom === undefined ? [] : [`import { defineConfig } from ${quoted(importFrom)};`]),
    '',
    `export default ${importFrom === undefined ? '' : 'defineConfig('}{`,
    '  // `iss` of the tokens that the edge renews, and of the test tokens of a deployment.',
    `  issuer: ${quoted(answers.issuer)},`,
    '  // The fewer formats, the smaller and quicker the function.',
    `  formats: [${quoted(answers.format)}],`,
    `  // ${placementComment(answers.placement)}`,
    `  placements: ${placementText(answers.placement)},`,
    '  claims: {',
    '    // Claims that tokens may carry. Each one costs bytes; a token with one that is left out is refused.',
    "    use: ['catu', 'catm', 'catnip', 'catgeoiso3166'],",
    '  },',
    '  // What can be revoked: one read of the store for each, on every request.',
    "  revocation: { scopes: ['token', 'session', 'subject'] },",
    '  // Players on other sites may read the answers, so that they can tell a refusal from a fault.',
    `  cors: ${answers.cors ? "{ origins: '*' }" : 'false'},`,
    '',
    '  deployment: {',
    '    // The environment: part of the name of everything that is made.',
    `    name: ${quoted(answers.name)},`,
    `    distribution: ${quoted(answers.distribution)},`,
    '    // Each behaviour has its own stage: off (nothing attached), log (decided and logged, everybody passes), enforce.',
    '    behaviours: [',
    ...answers.guarded.map((pattern) => `      { pattern: ${quoted(pattern)}, stage: 'log' },`),
    '    ],',
    ...(answers.open.length === 0
      ? []
      : [
          '    // Open on purpose although they share an origin with a guarded one. Look at these.',
          `    open: [${answers.open.map(quoted).join(', ')}],`,
        ]),
    ...(smoke === undefined
      ? []
      : [
          '    // Tried from outside after every deployment: a path behind a guarded behaviour, best one that exists.',
          `    smoke: { url: ${quoted(smoke.url)}, path: ${quoted(smoke.path)} },`,
        ]),
    '  },',
    `}${importFrom === undefined ? '' : ')'};`,
  ];
  return `${lines.join('\n')}\n`;
}
