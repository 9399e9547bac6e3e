/** Where AWS regions are, roughly: degrees of latitude and longitude. Lambda@Edge runs in regional edge caches, at regions. */
const places: Readonly<Record<string, readonly [latitude: number, longitude: number]>> = {
  'us-east-1': [38.9, -77.4],
  'us-east-2': [40.0, -83.0],
  'us-west-1': [37.4, -122.0],
  'us-west-2': [45.8, -119.7],
  'ca-central-1': [45.5, -73.6],
  'ca-west-1': [51.0, -114.1],
  'mx-central-1': [20.6, -100.4],
  'sa-east-1': [-23.5, -46.6],
  'eu-west-1': [53.3, -6.3],
  'eu-west-2': [51.5, -0.1],
  'eu-west-3': [48.9, 2.4],
  'eu-central-1': [50.1, 8.7],
  'eu-central-2': [47.4, 8.5],
  'eu-north-1': [59.3, 18.1],
  'eu-south-1': [45.5, 9.2],
  'eu-south-2': [41.6, -0.9],
  'il-central-1': [32.1, 34.8],
  'me-south-1': [26.1, 50.6],
  'me-central-1': [24.5, 54.4],
  'af-south-1': [-33.9, 18.4],
  'ap-south-1': [19.1, 72.9],
  'ap-south-2': [17.4, 78.5],
  'ap-southeast-1': [1.3, 103.8],
  'ap-southeast-2': [-33.9, 151.2],
  'ap-southeast-3': [-6.2, 106.8],
  'ap-southeast-4': [-37.8, 145.0],
  'ap-southeast-5': [3.1, 101.7],
  'ap-southeast-7': [13.8, 100.5],
  'ap-east-1': [22.3, 114.2],
  'ap-east-2': [25.0, 121.5],
  'ap-northeast-1': [35.7, 139.7],
  'ap-northeast-2': [37.6, 127.0],
  'ap-northeast-3': [34.7, 135.5],
};

/**
 * The configured region nearest to the one that the function runs in; the first where that region is not known here.
 *
 * @param running `AWS_REGION` of the execution environment.
 * @param configured Not empty.
 */
export function nearestRegion(running: string | undefined, configured: readonly string[]): string {
  const first = configured[0] as string;
  if (running !== undefined && configured.includes(running)) return running;
  const here = running === undefined ? undefined : places[running];
  if (!here) return first;
  return configured.reduce((best, region) => (angle(here, places[region]) < angle(here, places[best]) ? region : best));
}

/** The angle between two places seen from the middle of the earth. */
function angle(one: readonly [number, number], other: readonly [number, number] | undefined): number {
  if (!other) return Infinity;
  const [a, b, c, d] = [...one, ...other].map((degrees) => (degrees * Math.PI) / 180) as [
    number,
    number,
    number,
    number,
  ];
  const cosine = Math.sin(a) * Math.sin(c) + Math.cos(a) * Math.cos(c) * Math.cos(b - d);
  return Math.acos(Math.min(1, Math.max(-1, cosine)));
}

/** One region for each token, wherever it comes: its home. */
export function homeRegion(id: string, configured: readonly string[]): string {
  return configured[Buffer.from(id, 'base64url').readUInt32BE(0) % configured.length] as string;
}
