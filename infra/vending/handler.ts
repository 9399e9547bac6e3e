// The vending API: signs a playback URL for a viewer whom the caller has let in. Callers are authenticated by IAM before
// this runs; whom they sign for is theirs to decide, whom the ledger has revoked is not signed for.
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { createSigner, PlacementError, PolicyError, type Placement, type Signer } from '@portcullis/tokens';
import { secretsManagerKey } from '@portcullis/tokens/keys/secrets-manager';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { z } from 'zod';
import { createDynamoLedger, createLedgerClient } from '../../revoker/ledger/dynamodb.js';
import { createRefusalCheck, type RefusalCheck } from '../../revoker/ledger/refusal.js';

/** What a caller asks for. */
export const vendingRequestSchema = z.strictObject({
  /** What is to be played, without a token. */
  url: z.url({ protocol: /^https$/ }),
  /** The account, best as a pseudonym. */
  subject: z.string().min(1).max(128),
  /** Keep this session: for a renewal. */
  session: z.string().max(64).optional(),
  /** Content id, for the ledger's scopes. */
  content: z.string().max(256).optional(),
  /** The viewer's address, to refuse blocked networks. */
  address: z.string().max(64).optional(),
  countries: z
    .array(z.string().regex(/^[A-Z]{2}(-[A-Z0-9]{1,3})?$/))
    .min(1)
    .max(50)
    .optional(),
});

export interface VendingOptions {
  readonly signer: Pick<Signer, 'signPlaybackUrl'>;
  readonly check: RefusalCheck;
  /** Hosts that may be signed for: a caller's slip must not sign for another site. */
  readonly hosts: readonly string[];
  /** Longest life of a token, in seconds. */
  readonly tokenSeconds: number;
}

type Answer = APIGatewayProxyStructuredResultV2;

const json = (statusCode: number, body: unknown): Answer => ({
  statusCode,
  headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
  body: JSON.stringify(body),
});

/** The handler, with its surroundings passed in. */
export function vending(options: VendingOptions): (event: APIGatewayProxyEventV2) => Promise<Answer> {
  return async (event) => {
    const request = vendingRequestSchema.safeParse(parsed(event));
    if (!request.success) {
      const issue = request.error.issues[0];
      return json(400, { error: 'invalid_request', message: `${issue?.path.join('.') || 'body'}: ${issue?.message}` });
    }
    const { url, subject, session, content, address, countries } = request.data;
    if (!options.hosts.includes(new URL(url).hostname)) return json(400, { error: 'foreign_host' });
    // No answer from the ledger is no permission: the error goes out as 500, and nothing is signed.
    const refusal = await options.check.isRefused({
      subject,
      ...(session === undefined ? {} : { session }),
      ...(content === undefined ? {} : { content }),
      ...(address === undefined ? {} : { network: address }),
    });
    if (refusal.refused) return json(403, { error: 'revoked', scope: refusal.scope });
    try {
      const signed = await options.signer.signPlaybackUrl(url, {
        subject,
        expiresIn: options.tokenSeconds,
        ...(session === undefined ? {} : { session }),
        ...(countries === undefined ? {} : { countries: countries as never }),
      });
      return json(200, {
        url: signed.url,
        headers: signed.headers,
        cookies: signed.cookies,
        tokenId: signed.tokenId,
        session: signed.session,
        expiresAt: signed.expiresAt?.toISOString(),
      });
    } catch (error) {
      if (error instanceof PolicyError || error instanceof PlacementError) {
        return json(400, { error: error.code, message: error.message });
      }
      throw error;
    }
  };
}

function parsed(event: APIGatewayProxyEventV2): unknown {
  try {
    const body = event.isBase64Encoded ? Buffer.from(event.body ?? '', 'base64').toString('utf8') : event.body;
    return JSON.parse(body ?? '');
  } catch {
    return undefined;
  }
}

const settingsSchema = z.object({
  issuer: z.string().min(1),
  format: z.enum(['cat', 'jwt']).default('cat'),
  placement: z.custom<Placement>((value) => typeof value === 'object' && value !== null),
  secret: z.string().min(1),
  hosts: z.array(z.string()).min(1),
  tokenSeconds: z.number().int().positive().default(3600),
});

let ready: ReturnType<typeof vending> | undefined;

function connect(): ReturnType<typeof vending> {
  const settings = settingsSchema.parse(JSON.parse(process.env['VENDING_CONFIG'] ?? '{}'));
  const key = secretsManagerKey({
    secretId: settings.secret,
    client: new SecretsManagerClient({}) as never,
    GetSecretValueCommand: GetSecretValueCommand as never,
  });
  const common = { issuer: settings.issuer, placement: settings.placement, key } as const;
  const signer =
    settings.format === 'jwt' ? createSigner({ ...common, format: 'jwt' }) : createSigner({ ...common, format: 'cat' });
  const client = createLedgerClient({ region: process.env['AWS_REGION'] ?? 'us-east-1' });
  const ledger = createDynamoLedger({ client, table: process.env['LEDGER_TABLE'] ?? '' });
  return vending({
    signer,
    check: createRefusalCheck(ledger),
    hosts: settings.hosts,
    tokenSeconds: settings.tokenSeconds,
  });
}

export const handler = (event: APIGatewayProxyEventV2): Promise<Answer> => {
  ready ??= connect();
  return ready(event);
};
