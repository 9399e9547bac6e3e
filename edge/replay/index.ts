// One-time tokens: used once, and never again, in whatever region they come.
export { dynamoDbOnce, type OneTimeSettings } from './dynamodb.js';
export { replayId, type OneTimeStore } from './once.js';
export { homeRegion, nearestRegion } from './regions.js';
