import { open, stat, type FileHandle } from 'node:fs/promises';

/** A whole line of a log, and where it begins in the file. */
export interface TailedLine {
  readonly at: number;
  readonly text: string;
}

/** Reads a file that grows. */
export interface LogTail {
  /** The lines that were finished since the last call, `most` at most; none where there is nothing new. */
  next(most: number): Promise<TailedLine[]>;
  /** Lines that were too long to keep. */
  readonly overlong: number;
  close(): Promise<void>;
}

/** A record of Kinesis has 1 MiB at most; no line of a log is longer. */
const longestLine = 1_048_576;
const chunkBytes = 262_144;
const newline = 0x0a;

/**
 * Follows a log as `tail -F` does: a file that is not there yet is waited for, one that was moved away is read to its end
 * and then the new one from its beginning, one that was cut is read from its beginning. A line without its end waits for it.
 *
 * @param start `beginning`, or `end`: what is in the file already is left out
 */
export async function openTail(file: string, start: 'beginning' | 'end'): Promise<LogTail> {
  let handle: FileHandle | undefined = await openIfThere(file);
  let position = start === 'end' && handle ? (await handle.stat()).size : 0;
  let rest = Buffer.alloc(0);
  let skipping = false;
  let overlong = 0;

  async function reopen(): Promise<void> {
    await handle?.close();
    handle = await openIfThere(file);
    position = 0;
    rest = Buffer.alloc(0);
    skipping = false;
  }

  /** True where another file has come under the name, or this one was cut. */
  async function replaced(own: FileHandle): Promise<boolean> {
    const [open_, named] = await Promise.all([own.stat(), stat(file).catch(() => undefined)]);
    if (open_.size < position) return true;
    return named !== undefined && (named.ino !== open_.ino || named.dev !== open_.dev);
  }

  function take(chunk: Buffer, lines: TailedLine[]): void {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      const at = position + from - rest.length;
      const line = rest.length > 0 ? Buffer.concat([rest, chunk.subarray(from, end)]) : chunk.subarray(from, end);
      if (skipping || line.length > longestLine) overlong++;
      else if (line.length > 0) lines.push({ at, text: line.toString('utf8') });
      skipping = false;
      rest = Buffer.alloc(0);
      from = end + 1;
    }
    rest = skipping ? Buffer.alloc(0) : Buffer.concat([rest, chunk.subarray(from)]);
    if (rest.length > longestLine) {
      skipping = true;
      rest = Buffer.alloc(0);
    }
    position += chunk.length;
  }

  const waiting: TailedLine[] = [];
  return {
    get overlong() {
      return overlong;
    },
    async next(most) {
      const buffer = Buffer.alloc(chunkBytes);
      while (waiting.length < most) {
        if (handle === undefined) {
          await reopen();
          if (handle === undefined) break;
        }
        const { bytesRead } = await (handle as FileHandle).read(buffer, 0, chunkBytes, position);
        if (bytesRead > 0) take(buffer.subarray(0, bytesRead), waiting);
        else if (await replaced(handle as FileHandle)) await reopen();
        else break;
      }
      return waiting.splice(0, most);
    },
    close: async () => handle?.close(),
  };
}

async function openIfThere(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
