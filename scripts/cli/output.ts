import { createInterface } from 'node:readline/promises';

/** An error that the person at the terminal can act on. `exitCode` 1: refused or failed; 2: wrong usage. */
export class CliError extends Error {
  readonly code: string;
  readonly exitCode: 1 | 2;
  /** What to do next, one sentence. */
  readonly hint: string | undefined;

  constructor(code: string, message: string, options: { exitCode?: 1 | 2; hint?: string } = {}) {
    super(message);
    this.name = 'CliError';
    this.code = code;
    this.exitCode = options.exitCode ?? 1;
    this.hint = options.hint;
  }
}

export interface Progress {
  tick(count?: number): void;
  done(): void;
}

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Where a command writes: results to standard output, everything else to standard error. */
export interface Cli {
  readonly json: boolean;
  readonly configPath: string;
  /** The command's one result: a JSON line under `--json`, else the text that `human` makes. */
  result(value: unknown, human: () => string): void;
  /** A note on the way; not shown under `--json`. */
  line(text: string): void;
  /** A warning, always on standard error. */
  warn(text: string): void;
  table(columns: readonly (string | Column)[], rows: readonly (readonly (string | number)[])[]): string;
  /** A progress bar on a terminal, a line now and then elsewhere, nothing under `--json`. */
  progress(total: number, label: string): Progress;
  /** Asks yes or no; true at once with `yes`. Without a terminal to ask on, it refuses with exit code 2. */
  confirm(question: string, options: { yes?: boolean }): Promise<boolean>;
}

export interface CliStreams {
  readonly stdin: NodeJS.ReadableStream & { isTTY?: boolean };
  readonly stdout: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
  readonly stderr: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
}

/** Control characters from data would let a token or a log line drive the terminal. */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\u00b7');
}

/** One line of JSON. C1 controls, which JSON lets stand as they are, are escaped: a terminal may obey them. */
export function jsonLine(value: unknown): string {
  const escaped = JSON.stringify(value).replace(
    /[\u007f-\u009f]/g,
    (character) => `\\u00${character.charCodeAt(0).toString(16)}`,
  );
  return `${escaped}\n`;
}

function renderTable(columns: readonly (string | Column)[], rows: readonly (readonly (string | number)[])[]): string {
  const heads = columns.map((column) => (typeof column === 'string' ? { title: column } : column));
  const cells = rows.map((row) => row.map((cell) => printable(String(cell)).replace(/\n/g, ' ')));
  const widths = heads.map((head, i) => Math.max(head.title.length, ...cells.map((row) => (row[i] ?? '').length)));
  const render = (row: readonly string[]): string =>
    row
      .map((cell, i) =>
        (heads[i] as Column).align === 'right' ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0),
      )
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '─'.repeat(width)).join('  ');
  return [render(heads.map((head) => head.title)), rule, ...cells.map(render)].join('\n');
}

/** Makes the output of one command run. */
export function createCli(options: { json: boolean; configPath: string }, streams: CliStreams = process): Cli {
  const { stdin, stdout, stderr } = streams;
  return {
    json: options.json,
    configPath: options.configPath,
    result(value, human) {
      stdout.write(options.json ? jsonLine(value) : `${printable(human())}\n`);
    },
    line(text) {
      if (!options.json) stderr.write(`${printable(text)}\n`);
    },
    warn(text) {
      stderr.write(`warning: ${printable(text)}\n`);
    },
    table: renderTable,
    progress(total, label) {
      return createProgress(total, label, options.json ? undefined : stderr);
    },
    async confirm(question, { yes }) {
      if (yes) return true;
      if (!stdin.isTTY) {
        throw new CliError('confirmation_needed', `${question} No terminal to ask on.`, {
          exitCode: 2,
          hint: 'Add --yes to go ahead without being asked.',
        });
      }
      const reader = createInterface({ input: stdin, output: stderr });
      try {
        return /^y(es)?$/i.test((await reader.question(`${question} [y/N] `)).trim());
      } finally {
        reader.close();
      }
    },
  };
}

function createProgress(total: number, label: string, stream: CliStreams['stderr'] | undefined): Progress {
  let count = 0;
  let shownAt = 0;
  const started = Date.now();
  const show = (last: boolean): void => {
    if (!stream) return;
    const now = Date.now();
    if (!last && now - shownAt < (stream.isTTY ? 100 : 5000)) return;
    shownAt = now;
    const share = total > 0 ? Math.min(1, count / total) : 1;
    const seconds = (now - started) / 1000;
    const rate = seconds > 0 ? Math.round(count / seconds) : 0;
    const bar = '█'.repeat(Math.round(share * 24)).padEnd(24, '░');
    const text = `${label} ${bar} ${Math.floor(share * 100)} %  ${count}/${total}  ${rate}/s`;
    stream.write(stream.isTTY ? `\r\u001b[K${text}${last ? '\n' : ''}` : `${text}\n`);
  };
  return {
    tick(n = 1) {
      count += n;
      show(false);
    },
    done() {
      show(true);
    },
  };
}
