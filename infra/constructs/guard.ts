// The gate itself, for a distribution that is defined in CDK too. Keys are not part of it: they are made at run time.
import { Stack } from 'aws-cdk-lib';
import {
  Function as CloudFrontFunction,
  FunctionCode,
  FunctionEventType,
  FunctionRuntime,
  KeyValueStore,
  OriginRequestCookieBehavior,
  OriginRequestHeaderBehavior,
  OriginRequestPolicy,
  OriginRequestQueryStringBehavior,
  ViewerProtocolPolicy,
  AllowedMethods,
  type FunctionAssociation,
  type IKeyValueStore,
} from 'aws-cdk-lib/aws-cloudfront';
import { Construct } from 'constructs';
import { resourceName, tagAll, type EnvironmentProps } from './naming.js';

/** Not adjustable (CloudFront quotas, "Quotas on CloudFront Functions"). */
const maximumFunctionBytes = 10_240;
/** CloudFront quotas, "Policies". */
const maximumPolicyHeaders = 10;

export interface PortcullisDistributionGuardProps extends EnvironmentProps {
  /** The compiled viewer-request function, as `portcullis build` writes it. */
  readonly viewerRequest: string;
  /** The compiled viewer-response function, where tokens are renewed. */
  readonly viewerResponse?: string;
  /** CloudFront headers that the functions read; `portcullis build` prints them. */
  readonly viewerHeaders: readonly string[];
  /** Viewer headers that the origin needs, such as `Origin`; they go into the same policy. */
  readonly originHeaders?: readonly string[];
  /** Query parameters that the origin needs; default none. The token's own must not be among them. */
  readonly originQueryStrings?: readonly string[];
  /** A store that is there already; default: a new one. */
  readonly store?: IKeyValueStore;
}

/**
 * The store, the functions and the header policy of a guarded distribution.
 *
 * @example
 * const guard = new PortcullisDistributionGuard(this, 'Guard', {
 *   prefix: 'portcullis', name: 'production',
 *   viewerRequest: readFileSync('dist/functions/viewer-request.js', 'utf8'),
 *   viewerHeaders: ['CloudFront-Viewer-Country', 'CloudFront-Viewer-ASN'],
 * });
 * new Distribution(this, 'Site', {
 *   defaultBehavior: { origin: web },
 *   additionalBehaviors: { '/live/*': { origin: live, ...guard.behaviour } },
 * });
 */
export class PortcullisDistributionGuard extends Construct {
  readonly store: IKeyValueStore;
  readonly viewerRequest: CloudFrontFunction;
  readonly viewerResponse: CloudFrontFunction | undefined;
  readonly originRequestPolicy: OriginRequestPolicy;

  constructor(scope: Construct, id: string, props: PortcullisDistributionGuardProps) {
    super(scope, id);
    tagAll(this, props);
    const headers = [...new Set([...(props.originHeaders ?? []), ...props.viewerHeaders])];
    if (headers.length > maximumPolicyHeaders) {
      throw new Error(
        `${headers.length} headers are needed and a policy holds ${maximumPolicyHeaders}: ${headers.join(', ')}. Leave claims out, or send the origin fewer.`,
      );
    }
    this.store =
      props.store ??
      new KeyValueStore(this, 'Store', {
        keyValueStoreName: resourceName(props, 'store'),
        comment: 'Portcullis: keys, revocations, blackouts; filled at run time',
      });
    this.viewerRequest = this.#function(props, 'viewer-request', props.viewerRequest);
    this.viewerResponse =
      props.viewerResponse === undefined ? undefined : this.#function(props, 'viewer-response', props.viewerResponse);
    this.originRequestPolicy = new OriginRequestPolicy(this, 'Headers', {
      originRequestPolicyName: resourceName(props, `headers-${Stack.of(this).region}`),
      comment: 'Delivers what the Portcullis viewer functions read about the viewer',
      headerBehavior:
        headers.length === 0 ? OriginRequestHeaderBehavior.none() : OriginRequestHeaderBehavior.allowList(...headers),
      cookieBehavior: OriginRequestCookieBehavior.none(),
      queryStringBehavior:
        props.originQueryStrings === undefined || props.originQueryStrings.length === 0
          ? OriginRequestQueryStringBehavior.none()
          : OriginRequestQueryStringBehavior.allowList(...props.originQueryStrings),
    });
  }

  #function(props: PortcullisDistributionGuardProps, event: string, code: string): CloudFrontFunction {
    const bytes = Buffer.byteLength(code);
    if (bytes > maximumFunctionBytes) {
      throw new Error(`The ${event} function has ${bytes} bytes; CloudFront takes ${maximumFunctionBytes}.`);
    }
    if (/^\s*export\s/m.test(code)) {
      throw new Error(`The ${event} function is not compiled: an "export" in it makes CloudFront answer 503.`);
    }
    return new CloudFrontFunction(this, event, {
      functionName: resourceName(props, event),
      comment: `Portcullis ${event}, ${props.name}`,
      code: FunctionCode.fromInline(code),
      runtime: FunctionRuntime.JS_2_0,
      keyValueStore: this.store,
      autoPublish: true,
    });
  }

  /** The associations of a guarded behaviour. */
  get functionAssociations(): FunctionAssociation[] {
    return [
      { function: this.viewerRequest, eventType: FunctionEventType.VIEWER_REQUEST },
      ...(this.viewerResponse ? [{ function: this.viewerResponse, eventType: FunctionEventType.VIEWER_RESPONSE }] : []),
    ];
  }

  /** What a guarded behaviour needs, to spread into its options. */
  get behaviour(): {
    functionAssociations: FunctionAssociation[];
    originRequestPolicy: OriginRequestPolicy;
    viewerProtocolPolicy: ViewerProtocolPolicy;
    allowedMethods: AllowedMethods;
  } {
    return {
      functionAssociations: this.functionAssociations,
      originRequestPolicy: this.originRequestPolicy,
      viewerProtocolPolicy: ViewerProtocolPolicy.HTTPS_ONLY,
      allowedMethods: AllowedMethods.ALLOW_GET_HEAD_OPTIONS,
    };
  }
}
