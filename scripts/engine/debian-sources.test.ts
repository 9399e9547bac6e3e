import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { debianSources } from './debian-sources.js';

describe("the machine's Debian archives", () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'portcullis-apt-'));
    mkdirSync(join(folder, 'sources.list.d'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const uris = (): string[] => debianSources(folder).map((source) => source.uri);
  const part = (name: string, text: string): void => writeFileSync(join(folder, 'sources.list.d', name), text);

  it('are read from deb822 files, security archives and disabled stanzas left out', () => {
    part(
      'debian.sources',
      `# a comment
Types: deb
URIs: http://one.example/debian http://two.example/debian
Suites: bookworm bookworm-updates
Components: main contrib

Types: deb
URIs: http://one.example/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://three.example/debian
Suites: trixie
Components: main

Types: deb-src
URIs: http://four.example/debian
Suites: trixie
Components: main
`,
    );
    expect(uris()).toEqual(['http://one.example/debian', 'http://two.example/debian']);
  });

  it('are read from one-line files, other products left out', () => {
    writeFileSync(
      join(folder, 'sources.list'),
      `# deb http://no.example/debian bookworm main
deb [arch=amd64 signed-by=/nowhere/key.gpg] http://one.example/debian trixie main # here
deb http://other.example/product nodistro main
deb http://one.example/debian bookworm contrib
`,
    );
    part('ignored.list.disabled', 'deb http://no.example/debian trixie main\n');
    expect(uris()).toEqual(['http://one.example/debian']);
  });

  it('are none where there is no apt', () => {
    expect(debianSources(join(folder, 'absent'))).toEqual([]);
  });
});
