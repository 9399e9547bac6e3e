import type { ConformanceCase } from '../case.js';
import { conditional } from './conditional.js';
import { connection } from './connection.js';
import { encoding } from './encoding.js';
import { locations } from './locations.js';
import { networks } from './networks.js';
import { places } from './places.js';
import { registered } from './registered.js';
import { renewal } from './renewal.js';
import { uris } from './uris.js';
import { use } from './use.js';

export const cases: readonly ConformanceCase[] = [
  ...encoding,
  ...registered,
  ...networks,
  ...uris,
  ...connection,
  ...places,
  ...use,
  ...conditional,
  ...renewal,
  ...locations,
];
