import { createServer, type Server as NetServer, type Socket } from 'node:net';
import type { IncomingMessage, Server } from 'node:http';
import { randomBytes } from 'node:crypto';

/** Request lines longer than this are handed on as they are. */
const longestLine = 65_536;

/**
 * Node's HTTP parser refuses request targets with bytes of 0x80 and more, which CloudFront accepts. Of such a request (the
 * first of a connection) the bytes are escaped before the parser sees them, and the target as sent travels in a header
 * whose name nobody outside knows.
 */
export function createRawTargetServer(server: Server): {
  readonly netServer: NetServer;
  /** The target as sent, one character for each byte. */
  targetOf(request: IncomingMessage): string;
  /** True for the header that carries the target: no part of the request. */
  isCarrier(lowerCaseName: string): boolean;
} {
  const carrier = `x-raw-target-${randomBytes(16).toString('hex')}`;
  const hand = (socket: Socket, bytes: Buffer): void => {
    if (bytes.length > 0) socket.unshift(withCarrier(bytes, carrier));
    server.emit('connection', socket);
  };
  const netServer = createServer((socket) => {
    let collected = Buffer.alloc(0);
    const onReadable = (): void => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      collected = Buffer.concat([collected, chunk]);
      if (!collected.includes(10) && collected.length < longestLine) return;
      socket.off('readable', onReadable);
      socket.off('error', ignore);
      hand(socket, collected);
    };
    socket.on('error', ignore);
    socket.on('readable', onReadable);
  });
  return {
    netServer,
    targetOf(request) {
      const carried = request.headers[carrier];
      return typeof carried === 'string' ? Buffer.from(carried, 'base64url').toString('latin1') : (request.url ?? '/');
    },
    isCarrier: (name) => name === carrier,
  };
}

function ignore(): void {
  // A viewer that hangs up before its first line is no request.
}

function withCarrier(bytes: Buffer, carrier: string): Buffer {
  const end = bytes.indexOf(10);
  const line = bytes.subarray(0, end < 0 ? 0 : end + 1);
  if (!line.some((byte) => byte >= 0x80)) return bytes;
  const [method, target, version] = line.toString('latin1').trimEnd().split(' ');
  if (!method || !target || !version) return bytes;
  const escaped = target.replace(/[\u0080-\u00ff]/g, (byte) => `%${byte.charCodeAt(0).toString(16)}`);
  const head = `${method} ${escaped} ${version}\r\n${carrier}: ${Buffer.from(target, 'latin1').toString('base64url')}\r\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), bytes.subarray(line.length)]);
}
