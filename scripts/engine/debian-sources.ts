import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A Debian archive that the machine's own apt uses. */
export interface DebianSource {
  readonly uri: string;
  /** A keyring file, as apt's `Signed-By`. Without one apt uses its trusted keyrings. */
  readonly keyring?: string;
}

const releaseNames = new Set([
  ...['bullseye', 'bookworm', 'trixie', 'forky', 'sid'],
  ...['oldoldstable', 'oldstable', 'stable', 'testing', 'unstable'],
]);

/** Keyrings that the package debian-archive-keyring installs; they hold the keys of every supported release. */
const archiveKeyrings = [
  '/usr/share/keyrings/debian-archive-keyring.gpg',
  '/usr/share/keyrings/debian-archive-keyring.pgp',
];

/** The main Debian archives in the machine's apt sources, both file formats, each once. */
export function debianSources(folder = '/etc/apt'): DebianSource[] {
  const files = [join(folder, 'sources.list')];
  const parts = join(folder, 'sources.list.d');
  if (existsSync(parts))
    files.push(
      ...readdirSync(parts)
        .sort()
        .map((name) => join(parts, name)),
    );
  const keyring = archiveKeyrings.find((file) => existsSync(file));
  const sources = new Map<string, DebianSource>();
  for (const file of files) {
    if (!existsSync(file)) continue;
    const text = readFileSync(file, 'utf8');
    const entries = file.endsWith('.sources') ? stanzas(text) : file.endsWith('.list') ? lines(text) : [];
    for (const entry of entries) {
      if (!entry.suites.some((suite) => releaseNames.has(suite)) || !entry.components.includes('main')) continue;
      const key = keyring ?? entry.keyring;
      for (const uri of entry.uris) sources.set(uri, key === undefined ? { uri } : { uri, keyring: key });
    }
  }
  return [...sources.values()];
}

/** Writes a deb822 source file for one release of the archive. */
export function writeDebianSource(file: string, source: DebianSource, suite: string): void {
  const signed = source.keyring === undefined ? '' : `Signed-By: ${source.keyring}\n`;
  writeFileSync(file, `Types: deb\nURIs: ${source.uri}\nSuites: ${suite}\nComponents: main\n${signed}`);
}

interface SourceEntry {
  readonly uris: readonly string[];
  readonly suites: readonly string[];
  readonly components: readonly string[];
  readonly keyring?: string;
}

/** sources.list(5), deb822 style: stanzas of `Field: values`, separated by blank lines. */
function stanzas(text: string): SourceEntry[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const fields = new Map<string, string>();
    for (const line of stanza.split('\n')) {
      const field = /^([A-Za-z-]+):\s*(.*)$/.exec(line);
      if (field !== null) fields.set(field[1]!.toLowerCase(), field[2]!);
    }
    const words = (name: string): string[] => (fields.get(name) ?? '').split(/\s+/).filter((word) => word !== '');
    if (!words('types').includes('deb') || /^(no|false)$/i.test(fields.get('enabled') ?? '')) return [];
    return [entry(words('uris'), words('suites'), words('components'), words('signed-by')[0])];
  });
}

/** sources.list(5), one-line style: `deb [options] uri suite component…`. */
function lines(text: string): SourceEntry[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]*)/.exec(line);
    if (match === null) return [];
    const keyring = /signed-by=(\S+)/i.exec(match[1] ?? '')?.[1];
    return [entry([match[2]!], [match[3]!], match[4]!.trim().split(/\s+/), keyring)];
  });
}

function entry(uris: string[], suites: string[], components: string[], keyring: string | undefined): SourceEntry {
  const usable = keyring !== undefined && keyring.startsWith('/') && existsSync(keyring);
  return usable ? { uris, suites, components, keyring } : { uris, suites, components };
}
