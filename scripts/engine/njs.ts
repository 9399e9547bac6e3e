import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { debianSources, writeDebianSource, type DebianSource } from './debian-sources.js';
import { repositoryRoot } from './repository-root.js';

const run = promisify(execFile);

/** The engine versions every compiled function must agree on: the oldest and the newest that Debian packages. */
export const njsVersions = ['0.7.9', '0.8.9'] as const;
export type NjsVersion = (typeof njsVersions)[number];

/** An njs command line that was started once and answered with its version. */
export interface NjsEngine {
  readonly version: string;
  /** The program and its first arguments; the script's own follow. */
  readonly command: readonly [string, ...string[]];
}

/** Where an engine comes from when the machine has none: a Debian release and the packages to unpack side by side. */
const packagesOf: Record<NjsVersion, { readonly suite: string; readonly packages: readonly string[] }> = {
  '0.7.9': {
    suite: 'bookworm',
    packages: ['njs', 'libc6', 'libedit2', 'libpcre2-8-0', 'libssl3', 'libbsd0', 'libmd0', 'libtinfo6'],
  },
  '0.8.9': {
    suite: 'trixie',
    packages: [
      ...['njs', 'libc6', 'libedit2', 'libpcre2-8-0', 'libssl3t64', 'libbsd0', 'libmd0', 'libtinfo6'],
      ...['zlib1g', 'libzstd1', 'libxml2', 'liblzma5'],
    ],
  },
};

/** A failed download is remembered so long, so that twenty test files do not wait for the same dead network. */
const failureMemorySeconds = 300;
const lockWaitSeconds = 240;

/** Says why an engine cannot be had here. */
export class EngineMissingError extends Error {
  readonly code = 'engine_missing';
  constructor(
    readonly version: string,
    readonly reason: string,
  ) {
    super(
      `njs ${version} is not available: ${reason}. Name one with PORTCULLIS_NJS=${version}=/path/to/njs, ` +
        'or run where Debian packages can be downloaded (apt-get, dpkg-deb).',
    );
    this.name = 'EngineMissingError';
  }
}

const found = new Map<NjsVersion, Promise<NjsEngine>>();

/**
 * One engine: from `PORTCULLIS_NJS`, else the cache folder, else the PATH, else Debian's packages unpacked into the cache
 * folder (`.cache/njs`, or `PORTCULLIS_CACHE`), which needs no root.
 *
 * @throws EngineMissingError when none of these gives the version.
 * @example const engine = await findEngine('0.8.9');
 */
export function findEngine(version: NjsVersion): Promise<NjsEngine> {
  let engine = found.get(version);
  if (engine === undefined) {
    engine = locate(version);
    found.set(version, engine);
  }
  return engine;
}

/** Both engines, and for each that is missing the reason. */
export async function findEngines(): Promise<{ engines: NjsEngine[]; missing: EngineMissingError[] }> {
  const engines: NjsEngine[] = [];
  const missing: EngineMissingError[] = [];
  for (const version of njsVersions) {
    try {
      engines.push(await findEngine(version));
    } catch (error) {
      if (!(error instanceof EngineMissingError)) throw error;
      missing.push(error);
    }
  }
  return { engines, missing };
}

async function locate(version: NjsVersion): Promise<NjsEngine> {
  for (const named of namedEngines(process.env['PORTCULLIS_NJS'])) {
    if (named.version !== undefined && named.version !== version) continue;
    const actual = await versionOf([named.path]);
    if (actual === version) return { version, command: [named.path] };
    if (named.version === version) {
      throw new EngineMissingError(
        version,
        `PORTCULLIS_NJS names ${named.path}, which answers "${actual ?? 'nothing'}"`,
      );
    }
  }
  const cache = resolve(process.env['PORTCULLIS_CACHE'] ?? join(repositoryRoot(), '.cache', 'njs'));
  const cached = await unpackedEngine(version, join(cache, version));
  if (cached !== undefined) return cached;
  if ((await versionOf(['njs'])) === version) return { version, command: ['njs'] };
  return locked(cache, version, async () => {
    const already = await unpackedEngine(version, join(cache, version));
    return already ?? (await fetchRemembering(version, cache));
  });
}

/** `PORTCULLIS_NJS`: paths separated by colons, each `/path` (asked for its version) or `0.8.9=/path`. */
function namedEngines(setting: string | undefined): { version?: string; path: string }[] {
  return (setting ?? '')
    .split(':')
    .filter((entry) => entry !== '')
    .map((entry) => {
      const sign = entry.indexOf('=');
      return sign < 0 ? { path: entry } : { version: entry.slice(0, sign), path: entry.slice(sign + 1) };
    });
}

async function versionOf(command: readonly string[]): Promise<string | undefined> {
  try {
    const [program = '', ...rest] = command;
    return (await run(program, [...rest, '-v'], { timeout: 20_000 })).stdout.trim();
  } catch {
    return undefined;
  }
}

/** The engine in a folder of unpacked packages, started through the C library unpacked beside it. */
async function unpackedEngine(version: NjsVersion, folder: string): Promise<NjsEngine | undefined> {
  const program = join(folder, 'usr', 'bin', 'njs');
  if (!existsSync(program)) return undefined;
  const libraries = libraryFolders(folder);
  for (const library of libraries) {
    for (const file of readdirSync(library)) {
      if (!/^ld-linux.*\.so\.\d+$/.test(file)) continue;
      const command: [string, ...string[]] = [join(library, file), '--library-path', libraries.join(':'), program];
      if ((await versionOf(command)) === version) return { version, command };
    }
  }
  return undefined;
}

/** Debian keeps libraries under `lib/<architecture triplet>`, with and without `usr/` before it. */
function libraryFolders(folder: string): string[] {
  return [join(folder, 'usr', 'lib'), join(folder, 'lib')]
    .filter((parent) => existsSync(parent))
    .flatMap((parent) => readdirSync(parent).map((name) => join(parent, name)))
    .filter((path) => path.endsWith('-linux-gnu') && statSync(path).isDirectory());
}

async function fetchRemembering(version: NjsVersion, cache: string): Promise<NjsEngine> {
  const note = join(cache, `${version}.failed`);
  if (existsSync(note) && Date.now() - statSync(note).mtimeMs < failureMemorySeconds * 1000) {
    throw new EngineMissingError(version, readFileSync(note, 'utf8'));
  }
  try {
    const engine = await fetchEngine(version, cache);
    rmSync(note, { force: true });
    return engine;
  } catch (error) {
    const reason = oneLine(error);
    writeFileSync(note, reason);
    throw new EngineMissingError(version, reason);
  }
}

async function fetchEngine(version: NjsVersion, cache: string): Promise<NjsEngine> {
  const sources = debianSources();
  if (sources.length === 0) throw new Error("no Debian archive is named in the machine's apt sources");
  const failures: string[] = [];
  for (const source of sources) {
    try {
      return await fetchFrom(source, version, cache);
    } catch (error) {
      failures.push(oneLine(error));
    }
  }
  throw new Error(failures.join('; '));
}

/**
 * Downloads and unpacks with apt itself, through a private state folder: apt checks the release's signature and every
 * package's digest as it does for the machine, and nothing of the machine is changed.
 */
async function fetchFrom(source: DebianSource, version: NjsVersion, cache: string): Promise<NjsEngine> {
  const { suite, packages } = packagesOf[version];
  const work = join(cache, `${version}.work-${process.pid}`);
  const folders = ['lists/partial', 'archives/partial', 'sources', 'packages', 'unpacked'];
  rmSync(work, { recursive: true, force: true });
  for (const folder of folders) mkdirSync(join(work, folder), { recursive: true });
  try {
    writeFileSync(join(work, 'status'), '');
    writeDebianSource(join(work, 'sources', 'engine.sources'), source, suite);
    const settings = Object.entries({
      'Dir::Etc::SourceList': '/dev/null',
      'Dir::Etc::SourceParts': join(work, 'sources'),
      'Dir::Etc::Preferences': '/dev/null',
      'Dir::Etc::PreferencesParts': '/dev/null',
      'Dir::State': work,
      'Dir::State::Lists': join(work, 'lists'),
      'Dir::State::status': join(work, 'status'),
      'Dir::Cache': work,
      'Dir::Cache::Archives': join(work, 'archives'),
      'APT::Sandbox::User': 'root',
      'Acquire::Languages': 'none',
      'Acquire::AllowInsecureRepositories': 'false',
      'Acquire::Retries': '2',
      'Acquire::http::Timeout': '30',
      'Acquire::https::Timeout': '30',
    }).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    const environment = { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
    const options = { timeout: 180_000, maxBuffer: 1 << 24, env: environment };
    await run('apt-get', [...settings, '-q', '--error-on=any', 'update'], options);
    await run('apt-get', [...settings, '-q', 'download', ...packages], { ...options, cwd: join(work, 'packages') });
    for (const file of readdirSync(join(work, 'packages'))) {
      await run('dpkg-deb', ['-x', join(work, 'packages', file), join(work, 'unpacked')], options);
    }
    const folder = join(cache, version);
    rmSync(folder, { recursive: true, force: true });
    renameSync(join(work, 'unpacked'), folder);
    const engine = await unpackedEngine(version, folder);
    if (engine === undefined) throw new Error(`the packages of ${suite} do not start as njs ${version} here`);
    return engine;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Test workers race for the cache folder: the first to make the lock folder works, the others wait for it. */
async function locked<T>(cache: string, version: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(cache, { recursive: true });
  const lock = join(cache, `${version}.lock`);
  const until = Date.now() + lockWaitSeconds * 1000;
  while (!tryToMake(lock)) {
    if (lockHolderIsGone(lock)) rmSync(lock, { recursive: true, force: true });
    else if (Date.now() > until) throw new EngineMissingError(version, `another process holds ${lock}`);
    else await pause(200);
  }
  try {
    writeFileSync(join(lock, 'pid'), String(process.pid));
    return await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

function tryToMake(folder: string): boolean {
  try {
    mkdirSync(folder);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function lockHolderIsGone(lock: string): boolean {
  try {
    process.kill(Number(readFileSync(join(lock, 'pid'), 'utf8')), 0);
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return true;
    // The holder may stand between making the folder and writing its number: wait a little before calling it dead.
    return existsSync(lock) && Date.now() - statSync(lock).mtimeMs > 10_000 && !existsSync(join(lock, 'pid'));
  }
}

function oneLine(error: unknown): string {
  const { stderr, message, code, path } = error as NodeJS.ErrnoException & { stderr?: string };
  if (code === 'ENOENT' && path !== undefined) return `${path} is not installed`;
  const lines = (stderr === undefined || stderr.trim() === '' ? message : stderr).split('\n');
  const telling = lines.filter((line) => /^(E|Err):?/.test(line));
  return (telling.length > 0 ? telling : lines)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .slice(0, 3)
    .join(' / ')
    .slice(0, 400);
}
