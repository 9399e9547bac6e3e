import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CborWriter } from '@portcullis/tokens/cbor/writer';
import { parseToken } from '@portcullis/tokens/core/gate';
import type { ParsedToken } from '@portcullis/tokens/core/token';
import { lambdaEventOf, lambdaResultOf, functionResultOf, type Comparable } from './comparing.js';
import { createGuard, type GuardConfig } from '../../edge/guard/index.js';
import { edgeSettings } from '../../scripts/build/lambda-plans.js';
import { functionPlan } from '../../scripts/build/plan.js';
import { functionsConfigSchema } from '../../scripts/config/functions-config.js';
import {
  functionHosts,
  viewerRequestEvent,
  type FunctionHost,
  type RequestParts,
  type StoreDouble,
} from '../../scripts/engine/index.js';
import { caseOf, deployments } from '../differential/differential.js';
import { eventOf, momentOf } from '../verdicts/asking.js';
import { neutralConfig } from '../verdicts/functions.js';
import { keys, PATH, requestCases, secretOf, storeEntries, type RequestCase } from '../verdicts/requests.js';

const seed = Number(process.env['PORTCULLIS_SEED'] ?? 20261120);

/** The store as the function reads it: a rejection is a fault, unless the store says that there is no such key. */
function readerOf({ entries, getFails, existsFails }: StoreDouble): (key: string) => Promise<string | undefined> {
  const fails = (faults: true | readonly string[] | undefined, key: string): boolean =>
    faults === true ||
    (faults ?? []).some((name) => (name.endsWith('*') ? key.startsWith(name.slice(0, -1)) : name === key));
  return (key) => {
    const value = Object.hasOwn(entries, key) ? entries[key] : undefined;
    if (value !== undefined ? fails(getFails, key) : fails(existsFails, key)) return Promise.reject(new Error('fault'));
    return Promise.resolve(value);
  };
}

interface Asked {
  readonly parts: RequestParts;
  readonly store: StoreDouble;
  /** Milliseconds. */
  readonly now: number;
  readonly random: number;
}

function askedOf(one: RequestCase): Asked {
  const { request, viewer } = eventOf(one);
  const values = (entry: { value: string; multiValue?: { value: string }[] }): string[] =>
    (entry.multiValue ?? [entry]).map(({ value }) => value);
  return {
    parts: {
      method: request.method,
      uri: request.uri,
      query: request.rawQueryString?.() ?? '',
      headers: Object.fromEntries(Object.entries(request.headers).map(([name, entry]) => [name, values(entry)])),
      cookies: Object.entries(request.cookies).flatMap(([name, entry]) =>
        values(entry).map((value) => [name, value] as const),
      ),
      ip: viewer.ip,
    },
    store: { entries: storeEntries },
    now: momentOf(one) * 1000,
    random: 0.5,
  };
}

/** What the Lambda makes of a request whose keys and records all lie in a store. */
async function atLambda(config: GuardConfig, { parts, store, now, random }: Asked): Promise<Comparable> {
  const guard = createGuard(config, {
    read: readerOf(store),
    now: () => now,
    random: () => random,
    log: () => undefined,
  });
  return lambdaResultOf(await guard(lambdaEventOf(parts, 'origin-request')));
}

/** Whether two hosts did the same, but for what they are known to do each in its own way. */
function isSame(here: Comparable, there: Comparable): boolean {
  // It looks at a signature's spelling before anything else.
  if ('status' in here && 'status' in there && here.reason === 'bad_signature' && here.status === there.status)
    return /^(?:bad_signature|malformed_token|unknown_key|unsupported_algorithm)$/.test(there.reason);
  return JSON.stringify(here) === JSON.stringify(there);
}

// The engine whose verdicts count; V8 in its place takes some JSON that neither it nor the Lambda takes.
const host = (await functionHosts()).find(({ name }) => name === 'njs 0.8.9');
if (!host || host.missing)
  console.warn('Skipped: random requests against the compiled function; njs 0.8.9 is not here.');

describe('the table of verdicts', () => {
  const config: GuardConfig = {
    ...edgeSettings(functionPlan(functionsConfigSchema.parse(neutralConfig('full')))),
    eventType: 'origin-request',
    keys: [],
  };

  it('is what the Lambda says, too, and no origin sees a token', async () => {
    const differing: string[] = [];
    for (const one of requestCases) {
      const result = await atLambda(config, askedOf(one));
      const verdict = 'status' in result ? result.reason : 'admitted';
      if (verdict !== one.expected) differing.push(`${one.name}: ${verdict}, not ${one.expected}`);
      if ('target' in result && result.target !== (one.forwarded ?? PATH))
        differing.push(`${one.name}: the origin is asked for ${result.target}`);
      if ('target' in result && /eyJ|2D3|0YR|0oR/.test(JSON.stringify(result)))
        differing.push(`${one.name}: the origin sees a token`);
    }
    expect(differing).toEqual([]);
  });
});

describe('the table of verdicts, its tokens signed with public keys', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signature = (data: Buffer | string): Buffer =>
    sign('sha256', Buffer.from(data), { key: privateKey, dsaEncoding: 'ieee-p1363' });

  /** A sound HS256 token of the table with ES256 in its place; undefined for any other text. */
  function resigned(text: string): string | undefined {
    let token: ParsedToken;
    try {
      token = parseToken(text);
    } catch {
      return undefined;
    }
    const mac = createHmac('sha256', secretOf(token.kid));
    for (const piece of token.signed) mac.update(piece);
    if (token.algorithm !== 'HS256' || !mac.digest().equals(token.signature)) return undefined;
    if (token.isJwt) {
      const head = Buffer.from(JSON.stringify({ alg: 'ES256', kid: token.kid })).toString('base64url');
      const body = `${head}.${text.split('.')[1]}`;
      return `${body}.${signature(body).toString('base64url')}`;
    }
    const header = new CborWriter(64);
    header.map(2);
    header.number(1);
    header.number(-7);
    header.number(4);
    header.byteString(Buffer.from(token.kid));
    const written = (write: (writer: CborWriter) => void): Buffer => {
      const writer = new CborWriter(8192);
      write(writer);
      return Buffer.from(writer.bytes.subarray(0, writer.end));
    };
    const protectedHeader = written((writer) => writer.byteString(header.bytes.slice(0, header.end)));
    const payload = written((writer) => writer.byteString(token.payload as Buffer));
    const structure = written((writer) => {
      writer.array(4);
      writer.text('Signature1');
      writer.raw(protectedHeader);
      writer.byteString(new Uint8Array(0));
      writer.raw(payload);
    });
    return written((writer) => {
      writer.tag(18);
      writer.array(4);
      writer.raw(protectedHeader);
      writer.map(0);
      writer.raw(payload);
      writer.byteString(signature(structure));
    }).toString('base64url');
  }

  /** A request with its tokens signed anew; undefined where one of them is not sound. */
  function withPublicKeys(one: RequestCase): RequestCase | undefined {
    let sound = 0;
    let other = 0;
    const replaced = (text: string): string =>
      text.replace(/(?:eyJ|0YR|2D3)[\w.-]*/g, (token) => {
        const anew = resigned(token);
        if (anew === undefined || anew.length > 2000) other++;
        else sound++;
        return anew ?? token;
      });
    const changed = {
      ...one,
      target: replaced(one.target),
      ...(one.headers ? { headers: one.headers.map(([name, value]) => [name, replaced(value)] as const) } : {}),
    };
    return sound > 0 && other === 0 ? changed : undefined;
  }

  it('is the same', async () => {
    const config: GuardConfig = {
      ...edgeSettings(functionPlan(functionsConfigSchema.parse(neutralConfig('full')))),
      eventType: 'origin-request',
      keys: keys.map(({ kid, issuers, paths }) => ({
        kind: 'jwks',
        jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid }] },
        iss: issuers,
        paths,
      })),
    };
    const differing: string[] = [];
    let compared = 0;
    for (const one of requestCases) {
      const signed = withPublicKeys(one);
      if (!signed) continue;
      compared++;
      const result = await atLambda(config, askedOf(signed));
      const verdict = 'status' in result ? result.reason : 'admitted';
      if (verdict !== one.expected) differing.push(`${one.name}: ${verdict}, not ${one.expected}`);
    }
    expect(differing).toEqual([]);
    expect(compared).toBeGreaterThan(200);
  });
});

describe.skipIf(!host || host.missing)('random requests', async () => {
  it.each((await deployments()).map((policy) => [policy.name, policy] as const))(
    'get from the Lambda what the compiled function gives, status, headers and body included: policy %s',
    async (_, policy) => {
      const config: GuardConfig = { ...edgeSettings(policy.plan), eventType: 'origin-request', keys: [] };
      const cases = Array.from({ length: 1500 }, (__, number) => caseOf(seed, number, policy.places));
      const results = await (host as FunctionHost).run(
        policy.file,
        cases.map(({ parts, store, now, random }) => ({ event: viewerRequestEvent(parts), store, now, random })),
      );
      const outcomes: Record<string, number> = {};
      const differing: string[] = [];
      for (const [i, one] of cases.entries()) {
        const result = results[i];
        if (!result) throw new Error('no result');
        const here = await atLambda(config, one);
        const there = functionResultOf(result, one.parts);
        outcomes['status' in here ? here.reason : 'forwarded'] =
          (outcomes['status' in here ? here.reason : 'forwarded'] ?? 0) + 1;
        if (!isSame(here, there))
          differing.push(
            [
              `case ${i} (PORTCULLIS_SEED=${seed})`,
              JSON.stringify(one.parts),
              JSON.stringify(here),
              JSON.stringify(there),
            ].join('\n'),
          );
      }
      expect(differing.slice(0, 2)).toEqual([]);
      expect(Object.keys(outcomes).length).toBeGreaterThan(15);
      expect(outcomes['forwarded']).toBeGreaterThan(100);
    },
  );
});
