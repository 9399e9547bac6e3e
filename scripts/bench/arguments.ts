/** What `npm run bench -- …` is asked for. */
export type BenchRequest =
  /** The benchmarks to run, in their own order. */
  | { readonly kind: 'run'; readonly names: readonly string[]; readonly json: boolean }
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'wrong'; readonly message: string };

/**
 * Reads the arguments: names of benchmarks, `--json`, `--help`. Nothing is measured for what is not understood.
 *
 * @param names The benchmarks that there are.
 */
export function readArguments(args: readonly string[], names: readonly string[]): BenchRequest {
  if (args.some((arg) => arg === '--help' || arg === '-h')) return { kind: 'help', text: helpText(names) };
  const options = args.filter((arg) => arg.startsWith('-'));
  const wanted = args.filter((arg) => !arg.startsWith('-'));
  const odd = options.filter((option) => option !== '--json');
  if (odd.length > 0) return { kind: 'wrong', message: `unknown option ${odd.join(', ')}; --help lists what there is` };
  const unknown = wanted.filter((name) => !names.includes(name));
  if (unknown.length > 0)
    return { kind: 'wrong', message: `no benchmark is called ${unknown.join(', ')}; there are: ${names.join(', ')}` };
  return {
    kind: 'run',
    names: wanted.length === 0 ? names : names.filter((name) => wanted.includes(name)),
    json: options.length > 0,
  };
}

function helpText(names: readonly string[]): string {
  return [
    'Usage: npm run bench -- [names] [--json]',
    '',
    'Measures costs and sizes against their budgets; without names, all of them, one after another.',
    '',
    `Names:    ${names.join(' ')}`,
    'Options:  --json   figures for machines on standard output',
    '          --help   this text',
    '',
    'Examples:',
    '  $ npm run bench -- lambda',
    '  $ npm run --silent bench -- edge sdk --json',
  ].join('\n');
}
