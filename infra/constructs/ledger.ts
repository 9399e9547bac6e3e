import { AttributeType, Billing, TableEncryptionV2, TableV2 } from 'aws-cdk-lib/aws-dynamodb';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { RemovalPolicy } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { dataRemovalOf, resourceName, type EnvironmentProps } from './naming.js';

export interface LedgerProps extends EnvironmentProps {
  readonly key: IKey;
}

/** The table that is the truth about revocations, keys, blackouts, runs and deployments. */
export class PortcullisLedger extends Construct {
  readonly table: TableV2;

  constructor(scope: Construct, id: string, props: LedgerProps) {
    super(scope, id);
    this.table = dataTable(this, 'Table', { ...props, part: 'ledger' });
  }
}

/** A table with keys `pk` and `sk`, whose items end by `ttl`. */
export function dataTable(scope: Construct, id: string, props: LedgerProps & { readonly part: string }): TableV2 {
  const removalPolicy = dataRemovalOf(props);
  return new TableV2(scope, id, {
    tableName: resourceName(props, props.part),
    partitionKey: { name: 'pk', type: AttributeType.STRING },
    sortKey: { name: 'sk', type: AttributeType.STRING },
    billing: Billing.onDemand(),
    timeToLiveAttribute: 'ttl',
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
    encryption: TableEncryptionV2.customerManagedKey(props.key),
    deletionProtection: removalPolicy !== RemovalPolicy.DESTROY,
    removalPolicy,
  });
}
