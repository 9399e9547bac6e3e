// The AWS clients of a deployment, for AWS or for a loopback double in its place.
import { CloudFrontClient } from '@aws-sdk/client-cloudfront';
import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { createKvsClient, loopbackCredentials } from '../../revoker/kvs-client.js';
import { keyValues, type KeyValues } from './key-values.js';

export interface ClientOptions {
  /** A loopback double for CloudFront and its KeyValueStores; absent: AWS_ENDPOINT_URL_CLOUDFRONT, else AWS. */
  readonly endpoint?: string | undefined;
  /** A loopback double for CloudWatch and its logs. */
  readonly metricsEndpoint?: string | undefined;
}

export interface DeployClients {
  readonly cloudFront: CloudFrontClient;
  readonly cloudWatch: CloudWatchClient;
  readonly logs: CloudWatchLogsClient;
  keyValues(arn: string): KeyValues;
  close(): void;
}

/** CloudFront's API, its functions' metrics and their logs live in us-east-1 alone. */
const region = 'us-east-1';

export function deployClients(options: ClientOptions, wait: (milliseconds: number) => Promise<void>): DeployClients {
  const endpoint = options.endpoint ?? process.env['AWS_ENDPOINT_URL_CLOUDFRONT'];
  const metricsEndpoint = options.metricsEndpoint ?? process.env['AWS_ENDPOINT_URL_CLOUDWATCH'];
  const at = (url: string | undefined) =>
    url === undefined ? {} : { endpoint: url, credentials: loopbackCredentials };
  const cloudFront = new CloudFrontClient({ region, maxAttempts: 6, ...at(endpoint) });
  const cloudWatch = new CloudWatchClient({ region, ...at(metricsEndpoint) });
  const logs = new CloudWatchLogsClient({ region, ...at(metricsEndpoint) });
  const data = createKvsClient(endpoint === undefined ? {} : { endpoint });
  return {
    cloudFront,
    cloudWatch,
    logs,
    keyValues: (arn) => keyValues(data, arn, wait),
    close() {
      for (const client of [cloudFront, cloudWatch, logs, data]) client.destroy();
    },
  };
}
