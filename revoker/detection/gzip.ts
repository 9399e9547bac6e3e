import { createReadStream } from 'node:fs';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

/**
 * Why a gzip file (RFC 1952) is not whole: undefined when it is. DuckDB takes the place where such a file ends or stops
 * making sense for its end and says nothing, so it is asked here. Streams; holds no more than a chunk.
 */
export async function gzipDamage(file: string): Promise<string | undefined> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  try {
    await pipeline(createReadStream(file), createGunzip({ chunkSize: 1 << 20 }), nowhere);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'Z_BUF_ERROR'
      ? 'its gzip ends too early: read as far as it goes'
      : 'its gzip is damaged: read as far as it makes sense';
  }
}
