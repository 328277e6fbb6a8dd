import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { ClusterKey } from '../cluster-key.ts';
import { StarlingError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { systemCode } from '../system-error.ts';
import { MAX_CONTROL, SESSION } from './control.ts';
import { HEADER_BYTES, MAX_FRAME } from './frames.ts';
import { ControlLink, type ControlLinkOptions, DataLink } from './link.ts';
import { hostPort } from './socket-link.ts';
import { serverTls } from './tls.ts';

export interface LinkServerOptions {
  readonly key: ClusterKey;
  readonly log: Logger;
  readonly onControl: (link: ControlLink) => void;
  /** The session is well-formed; whether it exists is for the callback to check. */
  readonly onData: (link: DataLink, session: string) => void;
  readonly heartbeat?: ControlLinkOptions;
  /** Connections at a time, those in a handshake included; more are dropped. A home has tens of devices, with two each. */
  readonly maxConnections?: number;
  /** For the TLS handshake, and again for the request that follows it. */
  readonly handshakeTimeoutMs?: number;
}

const MAX_CONNECTIONS = 128;
const HANDSHAKE_TIMEOUT_MS = 10_000;

const WEB_SOCKET = {
  noServer: true,
  perMessageDeflate: false,
  clientTracking: false,
  skipUTF8Validation: true,
} as const;

/** Accepts links from holders of the cluster key, on /control and /data/SESSION. */
export class LinkServer {
  readonly #options: LinkServerOptions;
  readonly #control = new WebSocketServer({ ...WEB_SOCKET, maxPayload: MAX_CONTROL });
  readonly #data = new WebSocketServer({ ...WEB_SOCKET, maxPayload: MAX_FRAME + HEADER_BYTES });
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  constructor(options: LinkServerOptions) {
    this.#options = options;
  }

  /**
   * @param port 0 for any free one
   * @param host the address to listen at; `::` or `0.0.0.0` for all
   * @returns the port
   * @throws StarlingError address_in_use, or invalid_argument when the address is not one of this machine
   */
  start(port: number, host: string): Promise<number> {
    if (this.#server !== undefined) throw new StarlingError('internal', 'the link server was started twice');
    const timeout = this.#options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS;
    const server = createServer({
      ...serverTls(this.#options.key),
      handshakeTimeout: timeout,
      headersTimeout: timeout,
      requestTimeout: timeout,
      connectionsCheckingInterval: Math.ceil(timeout / 4),
      maxHeaderSize: 4096,
    });
    server.maxConnections = this.#options.maxConnections ?? MAX_CONNECTIONS;
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    server.on('tlsClientError', (error, socket) => {
      this.#options.log.debug(
        { from: socket.remoteAddress, code: systemCode(error) },
        'refused a connection without the key',
      );
      socket.destroy();
    });
    server.on('drop', (data) => {
      this.#options.log.warn({ from: data?.remoteAddress }, 'refused a connection: too many at a time');
    });
    server.on('request', (_request, response) => {
      response.writeHead(404, { connection: 'close' }).end();
    });
    server.on('upgrade', (request, socket, head) => {
      const data = /^\/data\/([^/?#]+)$/.exec(request.url ?? '');
      const session = data?.[1] ?? '';
      if (request.url === '/control') {
        this.#control.handleUpgrade(request, socket, head, (webSocket) => {
          this.#options.onControl(new ControlLink(webSocket, request.socket, this.#options.heartbeat));
        });
      } else if (SESSION.test(session)) {
        this.#data.handleUpgrade(request, socket, head, (webSocket) => {
          this.#options.onData(new DataLink(webSocket, request.socket), session);
        });
      } else {
        refuse(socket);
      }
    });
    return new Promise((resolve, reject) => {
      server.once('error', (error) => {
        this.#server = undefined;
        reject(listenError(error, host, port));
      });
      server.listen(port, host, () => {
        server.removeAllListeners('error');
        server.on('error', (error) =>
          this.#options.log.warn({ code: systemCode(error) }, 'the link server met an error'),
        );
        resolve((server.address() as AddressInfo).port);
      });
    });
  }

  /** Stops listening and cuts every connection, finished handshakes or not. */
  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

function refuse(socket: Duplex): void {
  socket.on('error', () => socket.destroy());
  socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n', () => socket.destroy());
}

function listenError(error: Error, host: string, port: number): StarlingError {
  const code = systemCode(error);
  const where = hostPort(host, port);
  if (code === 'EADDRINUSE') {
    return new StarlingError('address_in_use', `${where} is taken; stop what uses it or choose another port`, {
      cause: error,
    });
  }
  return new StarlingError('invalid_argument', `cannot listen at ${where} (${code}); choose another address or port`, {
    cause: error,
  });
}
