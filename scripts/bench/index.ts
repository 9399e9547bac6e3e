// All benchmarks: `npm run bench`, some of them with `npm run bench -- edge sdk`, figures for machines with `--json`, and
// what there is with `--help`.
import { readArguments } from './arguments.js';
import type { BenchFigure } from './figure.js';
import { benchParts } from 'portcullis:bench-parts';
import { createCli } from '../cli/output.js';

interface FigureTree {
  [name: string]: number | FigureTree;
}

/** Puts `a.b.c` where `tree.a.b.c` is. */
function put(tree: FigureTree, name: string, value: number): void {
  const names = name.split('.');
  const last = names.pop() as string;
  let branch = tree;
  for (const one of names) {
    const next = branch[one];
    branch = branch[one] = typeof next === 'object' ? next : {};
  }
  branch[last] = value;
}

const rounded = (value: number): number => Number(value.toPrecision(4));

function within({ value, budget, higherIsBetter }: BenchFigure): string {
  if (budget === undefined) return '';
  return (higherIsBetter ? value >= budget : value <= budget) ? 'yes' : 'NO';
}

async function main(args: readonly string[]): Promise<void> {
  const asked = readArguments(args, Object.keys(benchParts));
  const cli = createCli({ json: asked.kind === 'run' && asked.json, configPath: 'portcullis.config.ts' });
  if (asked.kind === 'help') {
    cli.result({}, () => asked.text);
    return;
  }
  if (asked.kind === 'wrong') {
    cli.warn(asked.message);
    process.exitCode = 2;
    return;
  }
  const figures: BenchFigure[] = [];
  for (const name of asked.names) {
    const load = benchParts[name];
    if (!load) continue;
    cli.line(`measuring ${name} …`);
    try {
      figures.push(...(await (await load()).bench()));
    } catch (error) {
      cli.warn(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      process.exitCode = 1;
    }
  }
  const values: FigureTree = {};
  const budgets: FigureTree = {};
  const notes: Record<string, string> = {};
  for (const { name, value, budget, note } of figures) {
    put(values, name, rounded(value));
    if (budget !== undefined) put(budgets, name, budget);
    if (note !== undefined) notes[name] = note;
  }
  cli.result({ ...values, budgets, notes }, () =>
    cli.table(
      ['figure', { title: 'value', align: 'right' }, 'unit', { title: 'budget', align: 'right' }, 'within', 'note'],
      figures.map((figure) => [
        figure.name,
        rounded(figure.value).toLocaleString('en', { maximumSignificantDigits: 4 }),
        figure.unit,
        figure.budget === undefined ? '' : `${figure.higherIsBetter ? '≥' : '≤'} ${figure.budget.toLocaleString('en')}`,
        within(figure),
        figure.note ?? '',
      ]),
    ),
  );
}

await main(process.argv.slice(2));
