// The origin's secret header: added, kept through an outage, and rotated without a moment at which the origin refuses what
// the edge sends. Secrets Manager is a loopback service that the real client talks to.
import { CreateSecretCommand, PutSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import { randomUUID } from 'node:crypto';
import { writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LambdaRequest, LambdaResponse } from '../../edge/event.js';
import {
  createOriginSecretHandler,
  rotateOriginSecret,
  rotationState,
  secretsManagerVersions,
  type OriginSecretConfig,
  type RotationPorts,
} from '../../edge/origin-secret/index.js';
import { secretsManagerReader } from '../../edge/secrets-manager.js';
import { startSecretsManager, type LoopbackSecretsManager } from '../doubles/secrets-manager.js';
import { runProgram } from '../../scripts/cli/program.js';
import { lambdaRequest } from './requests.js';

const header = 'x-mediapackage-cdnidentifier';
const stage = 'portcullis-sent';
const member = 'MediaPackageCDNIdentifier';
const folder = mkdtempSync(join(tmpdir(), 'portcullis-origin-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let manager: LoopbackSecretsManager;
let config: OriginSecretConfig;
let clock = 0;
beforeEach(async () => {
  manager = await startSecretsManager();
  const SecretString = JSON.stringify({ [member]: 'first-value' });
  await manager.client.send(new CreateSecretCommand({ Name: 'MediaPackage/cdn', SecretString }));
  config = {
    secret: 'MediaPackage/cdn',
    region: 'us-east-1',
    endpoint: manager.endpoint,
    stage,
    headers: { 'X-MediaPackage-CDNIdentifier': member },
    refreshAfter: 60,
  };
  clock = 1_800_000_000_000;
});
afterEach(() => manager.close());

const lambda = (more: Partial<OriginSecretConfig> = {}) =>
  createOriginSecretHandler({ ...config, ...more }, { readSecret: secretsManagerReader(500), now: () => clock });
type Handler = ReturnType<typeof lambda>;
const about = {
  distributionDomainName: 'd111111abcdef8.cloudfront.net',
  eventType: 'origin-request',
  requestId: 'r',
} as const;
const send = (handler: Handler, parts: Parameters<typeof lambdaRequest>[0] = {}) =>
  handler({ Records: [{ cf: { config: about, request: lambdaRequest(parts) } }] });
const sentBy = async (handler: Handler): Promise<string | undefined> =>
  ((await send(handler)) as LambdaRequest).headers[header]?.[0]?.value;
const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

describe('the header', () => {
  it('is added in place of what a viewer sent under its name', async () => {
    const request = (await send(lambda(), { uri: '/live/a', headers: { [header]: 'guess' } })) as LambdaRequest;
    expect(request.headers[header]).toEqual([{ key: 'X-MediaPackage-CDNIdentifier', value: 'first-value' }]);
    expect(request.uri).toBe('/live/a');
  });

  it('comes from the whole text where no member is named', async () => {
    const whole = lambda({ headers: { 'X-Origin': '' } });
    expect(((await send(whole)) as LambdaRequest).headers['x-origin']?.[0]?.value).toBe(
      '{"MediaPackageCDNIdentifier":"first-value"}',
    );
  });

  it('is kept through an outage, looked up in the background, and recovers by itself', async () => {
    const read = secretsManagerReader(500);
    let down = false;
    let asked = 0;
    const handler = createOriginSecretHandler(config, {
      readSecret: (place) => {
        asked += 1;
        return down ? Promise.reject(new Error('down')) : read(place);
      },
      now: () => clock,
    });
    expect(await sentBy(handler)).toBe('first-value');
    const lookUps = asked;
    expect(await sentBy(handler)).toBe('first-value');
    expect(asked).toBe(lookUps);
    down = true;
    clock += 86_400_000;
    for (let i = 0; i < 20; i++) expect(await sentBy(handler)).toBe('first-value');
    // Asked once, and then left alone for a while.
    expect(asked).toBe(lookUps + 1);
    down = false;
    await manager.client.send(
      new PutSecretValueCommand({
        SecretId: 'MediaPackage/cdn',
        SecretString: JSON.stringify({ [member]: 'second-value' }),
      }),
    );
    clock += 10_000;
    expect(await sentBy(handler)).toBe('second-value');
  });

  it('is looked for again before it is sent, where an environment was idle for long', async () => {
    const handler = lambda();
    expect(await sentBy(handler)).toBe('first-value');
    const put = (value: string) =>
      manager.client.send(
        new PutSecretValueCommand({ SecretId: 'MediaPackage/cdn', SecretString: JSON.stringify({ [member]: value }) }),
      );
    await put('second-value');
    clock += 119_000;
    expect(await sentBy(handler)).toBe('first-value');
    await settle();
    await put('third-value');
    clock += 120_000;
    expect(await sentBy(handler)).toBe('third-value');
  });

  it('is not taken from an answer that lay frozen with the environment', async () => {
    let value = 'first-value';
    let thaw: (() => void) | undefined;
    let frozen = false;
    const handler = createOriginSecretHandler(config, {
      readSecret: () => {
        const text = JSON.stringify({ [member]: value });
        return frozen ? new Promise((resolve) => (thaw = () => resolve(text))) : Promise.resolve(text);
      },
      now: () => clock,
    });
    expect(await sentBy(handler)).toBe('first-value');
    clock += 61_000;
    frozen = true;
    expect(await sentBy(handler)).toBe('first-value');
    // An hour later the answer is read that was sent then.
    clock += 3_600_000;
    frozen = false;
    value = 'second-value';
    const sent = sentBy(handler);
    thaw?.();
    expect(await sent).toBe('second-value');
  });

  it('is sent once, whatever the origin is configured with', async () => {
    for (const kind of ['custom', 's3'] as const) {
      const customHeaders = { [header]: [{ key: header, value: 'configured' }], 'x-other': [{ value: 'kept' }] };
      const origin = { [kind]: { customHeaders, domainName: 'origin.example' } };
      const request = { ...lambdaRequest(), origin };
      const sent = (await lambda()({ Records: [{ cf: { config: about, request } }] })) as LambdaRequest;
      expect(sent.headers[header]?.[0]?.value).toBe('first-value');
      expect(Object.keys(sent.origin?.[kind]?.customHeaders ?? {})).toEqual(['x-other']);
    }
  });

  it('is missing for nobody: without any value the viewer is told to come again', async () => {
    for (const handler of [lambda({ secret: 'nothing' }), lambda({ headers: { 'X-Origin': 'other' } })]) {
      const answer = (await send(handler)) as LambdaResponse;
      expect([answer.status, answer.headers?.['retry-after']?.[0]?.value]).toEqual(['503', '1']);
    }
  });
});

/** An origin that knows what MediaPackage knows: the current value and the one before it, each after its wait. */
function origin(): { readonly learn: () => void; readonly accepts: (value: string | undefined) => boolean } {
  let known: (string | undefined)[] = [];
  return {
    learn() {
      const { history } = manager.secrets.get('MediaPackage/cdn')!;
      known = ['AWSCURRENT', 'AWSPREVIOUS'].map((name) => {
        const found = history.find(({ stages }) => stages.has(name));
        return found && (JSON.parse(found.value) as Record<string, string>)[member];
      });
    },
    accepts: (value) => value !== undefined && known.includes(value),
  };
}

describe('its rotation', () => {
  const ports = (wait: RotationPorts['wait']): RotationPorts => ({
    versions: secretsManagerVersions(manager.client, 'MediaPackage/cdn'),
    stage,
    renew: () => JSON.stringify({ [member]: randomUUID() }),
    newVersionId: randomUUID,
    wait,
  });
  const waits = { publish: 600, switch: 120 };

  it('sends nothing at any moment that the origin refuses, and ends with the old value refused', async () => {
    const media = origin();
    media.learn();
    const handler = lambda();
    const values: (string | undefined)[] = [await sentBy(handler)];
    const check = async (): Promise<void> => {
      // A Lambda that started just now, and one that has not looked for a while.
      for (const one of [handler, lambda()]) {
        const value = await sentBy(one);
        expect(media.accepts(value)).toBe(true);
        values.push(value);
      }
    };
    await check();
    const waited: [number, string][] = [];
    const by = ports(async (seconds, why) => {
      waited.push([seconds, why]);
      await check();
      // Nobody is asked for anything meanwhile: the first requests afterwards find every environment as it was left.
      clock += seconds * 1000;
      media.learn();
      await check();
    });
    await rotateOriginSecret(by, waits);
    expect(waited.map(([seconds]) => seconds)).toEqual([120, 600, 120]);
    await check();
    media.learn();
    await check();
    expect(media.accepts('first-value')).toBe(false);
    expect(new Set(values).size).toBe(2);
    expect(await rotationState(by)).toBe('settled');
    // And once more, now that the label is there.
    waited.length = 0;
    await rotateOriginSecret(by, waits);
    expect(waited.map(([seconds]) => seconds)).toEqual([600, 120]);
    expect(await rotationState(by)).toBe('settled');
  });

  it('goes on where it was broken off', async () => {
    const broken = ports((_, why) =>
      why.includes('origin') ? Promise.reject(new Error('broken off')) : Promise.resolve(),
    );
    const whole = ports(() => Promise.resolve());
    await expect(rotateOriginSecret(broken, waits)).rejects.toThrow('broken off');
    expect(await rotationState(whole)).toBe('published');
    expect(await sentBy(lambda())).toBe('first-value');
    await expect(
      rotateOriginSecret(
        ports((_, why) => (why.includes('sends') ? Promise.reject(new Error('again')) : Promise.resolve())),
        waits,
      ),
    ).rejects.toThrow('again');
    expect(await rotationState(whole)).toBe('switched');
    const value = await sentBy(lambda());
    expect(value).not.toBe('first-value');
    await rotateOriginSecret(whole, waits);
    expect([await rotationState(whole), await sentBy(lambda())]).toEqual(['settled', value]);
  });
});

describe('the command', () => {
  async function run(...args: string[]): Promise<{ readonly exitCode: number; readonly out: string }> {
    const file = join(folder, 'portcullis.config.json');
    writeFileSync(file, JSON.stringify({ lambda: { originSecret: { ...config } } }));
    let out = '';
    const stdout = new PassThrough();
    stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    const streams = { stdin: new PassThrough(), stdout, stderr: new PassThrough() };
    const exitCode = await runProgram(['--json', '--config', file, ...args], { version: '1', streams });
    return { exitCode, out };
  }

  it('says what it would do, does it, and prints no value', async () => {
    const steps = async (): Promise<readonly string[]> => {
      const { out } = await run('origin-secret', 'rotate', '--dry-run', '--publish-wait', '9', '--switch-wait', '7');
      expect(JSON.parse(out)).toMatchObject({ state: 'settled', dryRun: true });
      return (JSON.parse(out) as { steps: string[] }).steps;
    };
    const usual = [
      'publish a new value',
      'wait 9 s for the origin',
      'switch to the new value',
      'wait 7 s for every Lambda',
      'retire the old value',
    ];
    // The first time, Lambdas have to find the label.
    const first = [`label what is sent (${config.stage})`, 'wait 7 s until every Lambda goes by the label'];
    expect(await steps()).toEqual([...first, ...usual]);
    expect(manager.secrets.get('MediaPackage/cdn')?.versions).toBe(1);
    const real = await run('origin-secret', 'rotate', '--yes', '--publish-wait', '0', '--switch-wait', '0');
    expect(real.exitCode).toBe(0);
    const value = (JSON.parse(manager.secrets.get('MediaPackage/cdn')?.value ?? '{}') as Record<string, string>)[
      member
    ];
    expect(value).toMatch(/^[\da-f]{8}-/);
    expect(real.out).not.toContain(value);
    expect(JSON.parse((await run('origin-secret', 'status')).out)).toMatchObject({ state: 'settled' });
    expect(await steps()).toEqual(usual);
  });
});
