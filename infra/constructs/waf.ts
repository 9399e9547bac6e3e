// The IP sets that the revoker fills and a web ACL that blocks what is in them. Addresses are put in at run time and are
// no part of the template.
import { CfnIPSet, CfnWebACL } from 'aws-cdk-lib/aws-wafv2';
import { Construct } from 'constructs';
import { resourceName, type EnvironmentProps } from './naming.js';

export class PortcullisIpSets extends Construct {
  readonly version4: CfnIPSet;
  readonly version6: CfnIPSet;
  readonly webAcl: CfnWebACL;

  constructor(scope: Construct, id: string, props: EnvironmentProps) {
    super(scope, id);
    const set = (part: string, version: 'IPV4' | 'IPV6'): CfnIPSet =>
      new CfnIPSet(this, part, {
        name: resourceName(props, `blocked-${part.toLowerCase()}`),
        description: 'Portcullis: addresses blocked by the revoker, written at run time',
        scope: 'CLOUDFRONT',
        ipAddressVersion: version,
        addresses: [],
      });
    this.version4 = set('V4', 'IPV4');
    this.version6 = set('V6', 'IPV6');
    const visibility = (metricName: string): CfnWebACL.VisibilityConfigProperty => ({
      cloudWatchMetricsEnabled: true,
      sampledRequestsEnabled: true,
      metricName,
    });
    this.webAcl = new CfnWebACL(this, 'WebAcl', {
      name: resourceName(props, 'gate'),
      description: 'Portcullis: further rules come from portcullis waf apply',
      scope: 'CLOUDFRONT',
      defaultAction: { allow: {} },
      visibilityConfig: visibility(resourceName(props, 'gate')),
      rules: [
        {
          name: 'portcullis-blocked',
          priority: 0,
          action: { block: {} },
          visibilityConfig: visibility('portcullis-blocked'),
          statement: {
            orStatement: {
              statements: [this.version4, this.version6].map((item) => ({
                ipSetReferenceStatement: { arn: item.attrArn },
              })),
            },
          },
        },
      ],
    });
  }
}
