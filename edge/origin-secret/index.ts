// Secret headers for origins that cannot use Origin Access Control: added to requests, and rotated in the order that the
// origin needs.
export { createOriginSecretHandler, type OriginSecretConfig, type OriginSecretPorts } from './origin-secret.js';
export {
  rotateOriginSecret,
  rotationState,
  type RotationPorts,
  type RotationState,
  type RotationWaits,
  type SecretVersion,
  type SecretVersions,
} from './rotation.js';
export { secretsManagerVersions } from './secrets-manager-versions.js';
