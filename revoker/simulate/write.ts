import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { createGzip, type Gzip } from 'node:zlib';
import type { Simulation } from './event.js';
import { fieldNames, formatter, preamble, type LogFormat } from './formats.js';

export interface WriteOptions {
  readonly format: LogFormat;
  /** Folder for the log files; made if missing. */
  readonly folder: string;
  readonly gzip?: boolean;
  /** Rows per file; the last has fewer. */
  readonly rowsPerFile?: number;
  /** Called about once per simulated second, with the share done (0…1) and the rows so far. */
  readonly onProgress?: (share: number, rows: number) => void;
}

export interface Written {
  readonly rows: number;
  /** Bytes of all lines, before compression or conversion. */
  readonly textBytes: number;
  readonly files: readonly string[];
  readonly labels: string;
  readonly addresses: string;
  /** The field order, one name a line: a real-time log does not say it itself. */
  readonly fields: string;
}

const pieceBytes = 1 << 20;
/** No line is longer: CloudFront takes no URL over 8,192 bytes, nor more than 20 KB of headers. */
const longestLine = 64 * 1024;

/** A text file that is written in large pieces, through gzip or not. */
class TextFile {
  private piece = Buffer.allocUnsafe(pieceBytes);
  private used = 0;
  private readonly full: Buffer[] = [];
  private readonly stream: WriteStream;
  private readonly gzip: Gzip | undefined;
  rows = 0;
  bytes = 0;

  constructor(path: string, gzip: boolean, first: string) {
    this.stream = createWriteStream(path);
    this.gzip = gzip ? createGzip({ level: 4 }) : undefined;
    this.gzip?.pipe(this.stream);
    this.used = this.piece.write(first, 'latin1');
  }

  add(line: string): void {
    // Logs are ASCII: everything else is URL-encoded in them.
    this.used += this.piece.write(line, this.used, 'latin1');
    this.rows++;
    if (this.used > pieceBytes - longestLine) this.turnOver();
  }

  private turnOver(): void {
    this.full.push(this.piece.subarray(0, this.used));
    this.bytes += this.used;
    this.piece = Buffer.allocUnsafe(pieceBytes);
    this.used = 0;
  }

  /** Hands over the full pieces and waits while the disk is behind. */
  async flush(): Promise<void> {
    const target = this.gzip ?? this.stream;
    for (const piece of this.full.splice(0)) {
      if (!target.write(piece)) await once(target, 'drain');
    }
  }

  async close(): Promise<void> {
    this.turnOver();
    await this.flush();
    const closed = once(this.stream, 'close');
    (this.gzip ?? this.stream).end();
    await closed;
  }
}

const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;

async function toParquet(source: string, target: string): Promise<void> {
  const { DuckDBInstance } = await import('@duckdb/node-api');
  // Beside the text, not in the folder that somebody works in.
  const instance = await DuckDBInstance.create(':memory:', { temp_directory: `${source}.spill` });
  const connection = await instance.connect();
  const columns = fieldNames('parquet')
    .map((name) => `${quote(name)}: 'VARCHAR'`)
    .join(', ');
  try {
    await connection.run(
      `COPY (SELECT * FROM read_csv(${quote(source)}, delim = '\t', quote = '', escape = '', header = false,
        auto_detect = false, columns = {${columns}}))
       TO ${quote(target)} (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 122880)`,
    );
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** File names in the manner of standard logs: distribution, hour, a distinguishing part. */
function fileName(simulation: Simulation, part: number, options: WriteOptions): string {
  const hour = new Date(simulation.options.from).toISOString().slice(0, 13).replace('T', '-');
  const ending = { standard: 'log', w3c: 'log', realtime: 'tsv', json: 'json', parquet: 'parquet' }[options.format];
  return `E2SIMULATION.${hour}.${String(part).padStart(4, '0')}.${ending}${options.gzip && options.format !== 'parquet' ? '.gz' : ''}`;
}

/**
 * Runs a simulation and writes its log, its labels (`labels.jsonl`), the address database (`addresses.csv`) and the
 * field order (`fields.txt`). Memory stays bounded whatever the number of rows. The last three files lie beside the
 * folder of logs, not in it, so that the folder can be given to a reader whole.
 */
export async function writeSimulation(simulation: Simulation, options: WriteOptions): Promise<Written> {
  await mkdir(options.folder, { recursive: true });
  const beside = resolve(options.folder);
  const { format } = options;
  const rowsPerFile = options.rowsPerFile ?? 1_000_000;
  const line = formatter(format);
  const files: string[] = [];
  const scratch = format === 'parquet' ? await mkdtemp(join(options.folder, '.parts-')) : undefined;
  let file: TextFile | undefined;
  let path = '';
  let rows = 0;
  let textBytes = 0;
  const open = (): TextFile => {
    const name = fileName(simulation, files.length, options);
    files.push(join(options.folder, name));
    path = scratch ? join(scratch, `${name}.tsv`) : join(options.folder, name);
    return new TextFile(path, (options.gzip ?? false) && !scratch, preamble(format));
  };
  let converting = Promise.resolve();
  const finish = async (): Promise<void> => {
    if (!file) return;
    await file.close();
    textBytes += file.bytes;
    file = undefined;
    if (scratch) {
      const [text, target] = [path, files[files.length - 1] as string];
      // One part is converted while the next is made.
      await converting;
      converting = toParquet(text, target).then(() => rm(text));
      converting.catch(() => undefined);
    }
  };
  const { from, minutes } = simulation.options;
  try {
    const steps = simulation.run((row) => {
      file ??= open();
      file.add(line(row));
      rows++;
    });
    for (const time of steps) {
      if (file) await (file as TextFile).flush();
      if (file && (file as TextFile).rows >= rowsPerFile) await finish();
      options.onProgress?.(Math.min(1, (time - from) / (minutes * 60_000)), rows);
    }
    await finish();
    await converting;
  } finally {
    await converting.catch(() => undefined);
    if (scratch) await rm(scratch, { recursive: true, force: true });
  }
  const labels = `${beside}.labels.jsonl`;
  const addresses = `${beside}.addresses.csv`;
  const fields = `${beside}.fields.txt`;
  await writeFile(
    labels,
    simulation
      .labels()
      .map((label) => `${JSON.stringify(label)}\n`)
      .join(''),
  );
  await writeFile(
    addresses,
    `network,asn,country,name\n${simulation
      .addresses()
      .map((range) => `${range.network},${range.asn},${range.country},"${range.name}"\n`)
      .join('')}`,
  );
  await writeFile(fields, `${fieldNames(format).join('\n')}\n`);
  return { rows, textBytes, files, labels, addresses, fields };
}
