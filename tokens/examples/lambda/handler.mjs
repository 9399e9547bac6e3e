// The vending service as a Lambda function behind an API Gateway that authenticates backends with IAM.
import { createSigner } from '@portcullis/tokens';
import { environmentKey } from '@portcullis/tokens/keys/environment';
import { assetsFromObject, createVendingService, gatewayCaller, memorySessions } from '@portcullis/tokens/vending';
import { lambdaHandler } from '@portcullis/tokens/vending/lambda';

export const handler = lambdaHandler(
  createVendingService({
    signer: createSigner({ issuer: 'vend.example', key: environmentKey() }),
    assets: assetsFromObject({
      ch1: { url: 'https://cdn.example/live/ch1/main.m3u8', expiresIn: '10m', concurrency: { limit: 3 } },
    }),
    authenticate: gatewayCaller(['arn:aws:sts::123456789012:assumed-role/cms/*']),
    // In production the revoker's createRefusalCheck(ledger).
    ledger: { isRefused: () => Promise.resolve({ refused: false }) },
    // In production dynamoDbSessions({ … }): each Lambda environment counts for itself.
    sessions: memorySessions(),
    log: (record) => console.log(JSON.stringify(record)),
  }),
);
