import { Duration } from 'aws-cdk-lib';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Key } from 'aws-cdk-lib/aws-kms';
import type { Construct } from 'constructs';
import { dataRemovalOf, resourceName, type EnvironmentProps } from './naming.js';

/** One customer-managed key for everything at rest: ledger, stream, topic, logs, secrets. Rotated yearly. */
export function environmentKey(scope: Construct, props: EnvironmentProps): Key {
  const key = new Key(scope, 'Key', {
    alias: resourceName(props, 'data'),
    description: `Portcullis ${props.name}: ledger, stream, notices, logs, signing keys`,
    enableKeyRotation: true,
    removalPolicy: dataRemovalOf(props),
    pendingWindow: Duration.days(30),
  });
  // CloudWatch alarms and EventBridge publish to the encrypted topic.
  for (const service of ['cloudwatch.amazonaws.com', 'events.amazonaws.com']) {
    key.addToResourcePolicy(
      new PolicyStatement({
        sid: `Notices${service.split('.')[0]}`,
        principals: [new ServicePrincipal(service)],
        actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
        resources: ['*'],
      }),
    );
  }
  return key;
}
