import {
  CloudFrontKeyValueStoreClient,
  type CloudFrontKeyValueStoreClientConfig,
} from '@aws-sdk/client-cloudfront-keyvaluestore';
// The service accepts Signature Version 4A alone; importing this package is what makes the client able to make it.
import '@aws-sdk/signature-v4a';

export interface KvsClientOptions {
  /** A loopback service's address; absent: CloudFront. */
  readonly endpoint?: string;
  /** Any region: the store is global. Default us-east-1. */
  readonly region?: string;
  /** Static credentials for a loopback service; absent: the SDK's usual chain. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Attempts of the SDK itself for throttling and lost connections, the first included. Default 5. */
  readonly maxAttempts?: number;
  readonly requestHandler?: NonNullable<CloudFrontKeyValueStoreClientConfig['requestHandler']>;
}

/** What signs requests to a loopback service, which has no accounts. */
export const loopbackCredentials = { accessKeyId: 'loopback', secretAccessKey: 'loopback' } as const;

/**
 * A KeyValueStore data-plane client, for CloudFront or for a loopback service.
 *
 * @example
 * const client = createKvsClient({ endpoint: 'http://127.0.0.1:4567' });
 */
export function createKvsClient(options: KvsClientOptions = {}): CloudFrontKeyValueStoreClient {
  const { endpoint } = options;
  const credentials = options.credentials ?? (endpoint === undefined ? undefined : loopbackCredentials);
  return new CloudFrontKeyValueStoreClient({
    region: options.region ?? 'us-east-1',
    maxAttempts: options.maxAttempts ?? 5,
    ...(options.requestHandler === undefined ? {} : { requestHandler: options.requestHandler }),
    ...(credentials === undefined ? {} : { credentials }),
    // The client's own rules put the account id before the host, which no loopback address can answer to.
    ...(endpoint === undefined
      ? {}
      : {
          endpointProvider: () => ({
            url: new URL(endpoint),
            properties: {
              authSchemes: [
                {
                  name: 'sigv4a',
                  signingName: 'cloudfront-keyvaluestore',
                  signingRegion: '*',
                  signingRegionSet: ['*'],
                  properties: {},
                },
              ],
            },
          }),
        }),
  });
}
