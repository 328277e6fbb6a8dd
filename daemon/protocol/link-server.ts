import { randomBytes } from 'node:crypto';
import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from 'node:http';
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { ClusterKey } from '../cluster-key.ts';
import { StarlingError, toStarlingError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { systemCode } from '../system-error.ts';
import { channelKeys, NONCE_BYTES, type OpenChannel } from './channel.ts';
import { MAX_CONTROL, SESSION } from './control.ts';
import { ControlLink, type ControlLinkOptions } from './control-link.ts';
import { DataLink } from './data-link.ts';
import { hostPort, plainAddress } from './link.ts';
import { serverTls } from './tls.ts';
import { coordinatorNonce, upgradeAnswer } from './upgrade.ts';

export interface LinkServerOptions {
  readonly key: ClusterKey;
  readonly log: Logger;
  readonly onControl: (link: ControlLink) => void;
  /** The secret of a session that takes a data link now; null where there is none. */
  readonly secretOf: (session: string) => Uint8Array | null;
  /** The other side has proved that it has the session's secret. */
  readonly onData: (link: DataLink, session: string) => void;
  readonly openChannel: OpenChannel;
  readonly heartbeat?: ControlLinkOptions;
  /**
   * Connections at a time, those in a handshake included; more are dropped. A home has tens of devices, with two each.
   */
  readonly maxConnections?: number;
  /** From the connection until it is a link. */
  readonly handshakeTimeoutMs?: number;
}

const MAX_CONNECTIONS = 128;
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** The first byte of a TLS handshake: RFC 8446, section 5.1. */
const TLS_HANDSHAKE = 0x16;

/**
 * Accepts links from holders of the cluster key, on one port: /control inside TLS, and /data/SESSION from who proves to
 * have the session's secret, which went over a control link.
 */
export class LinkServer {
  readonly #options: LinkServerOptions;
  readonly #control = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    clientTracking: false,
    skipUTF8Validation: true,
    maxPayload: MAX_CONTROL,
  });
  readonly #sockets = new Set<Socket>();
  /** What ends connections that do not become a link in time, by their ends. */
  readonly #deadlines = new Map<string, NodeJS.Timeout>();
  readonly #tls: HttpsServer;
  readonly #plain: HttpServer;
  #server: Server | undefined;

  constructor(options: LinkServerOptions) {
    this.#options = options;
    this.#tls = createHttpsServer({
      ...serverTls(options.key),
      handshakeTimeout: options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
      maxHeaderSize: 4096,
    });
    this.#tls.on('tlsClientError', (error, socket) => {
      options.log.debug(
        { from: plainAddress(socket.remoteAddress), code: systemCode(error) },
        'refused a connection without the key',
      );
      socket.destroy();
    });
    this.#plain = createHttpServer({ maxHeaderSize: 4096 });
    for (const server of [this.#tls, this.#plain]) {
      server.on('request', (_request, response) => {
        response.writeHead(404, { connection: 'close' }).end();
      });
    }
    this.#tls.on('upgrade', (request, socket, head) => this.#upgradeControl(request, socket, head));
    this.#plain.on('upgrade', (request, socket, head) => this.#upgradeData(request, socket as Socket, head));
  }

  /**
   * @param port 0 for any free one
   * @param host the address to listen at; `0.0.0.0` for all of IPv4, `::` or nothing for all of both families, which is
   * IPv4 alone where there is no IPv6
   * @returns the port
   * @throws StarlingError address_in_use, or invalid_argument when the address is not one of this machine
   */
  start(port: number, host?: string): Promise<number> {
    if (this.#server !== undefined) throw new StarlingError('internal', 'the link server was started twice');
    const server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    server.maxConnections = this.#options.maxConnections ?? MAX_CONNECTIONS;
    this.#server = server;
    server.on('drop', (data) => {
      this.#options.log.warn({ from: plainAddress(data?.remoteAddress) }, 'refused a connection: too many at a time');
    });
    return new Promise((resolve, reject) => {
      server.once('error', (error) => {
        this.#server = undefined;
        reject(listenError(error, host ?? '::', port));
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

  /** Tells by a connection's first byte what it is to be. */
  #accept(socket: Socket): void {
    const timer = setTimeout(() => socket.destroy(), this.#options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS);
    const ends = endsOf(socket);
    this.#sockets.add(socket);
    this.#deadlines.set(ends, timer);
    const failed = (): void => void socket.destroy();
    socket.on('error', failed);
    socket.once('close', () => {
      clearTimeout(timer);
      this.#deadlines.delete(ends);
      this.#sockets.delete(socket);
    });
    socket.once('data', (first: Buffer) => {
      socket.pause();
      socket.unshift(first);
      const server = first[0] === TLS_HANDSHAKE ? this.#tls : this.#plain;
      server.emit('connection', socket);
      // The server has listeners of its own from its next turn on.
      process.nextTick(() => {
        socket.removeListener('error', failed);
        // What goes wrong with it, the link over it tells.
        socket.on('error', () => {});
        socket.resume();
      });
    });
  }

  #upgradeControl(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (request.url !== '/control') {
      refuse(socket);
      return;
    }
    this.#control.handleUpgrade(request, socket, head, (webSocket) => {
      this.#isLink(request.socket);
      this.#options.onControl(new ControlLink(webSocket, request.socket, this.#options.heartbeat));
    });
  }

  #upgradeData(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const session = /^\/data\/([^/?#]+)$/.exec(request.url ?? '')?.[1] ?? '';
    const coordinator = coordinatorNonce(request.headers);
    const secret = SESSION.test(session) ? this.#options.secretOf(session) : null;
    if (secret === null || coordinator === null) {
      refuse(socket);
      return;
    }
    const device = randomBytes(NONCE_BYTES);
    socket.write(upgradeAnswer(coordinator, device));
    const keys = channelKeys(secret, { coordinator, device }, 'device');
    const link = new DataLink(socket, this.#options.openChannel(keys, 'device'), 'device', head);
    link
      .open()
      .then(() => {
        this.#isLink(socket);
        this.#options.onData(link, session);
      })
      .catch((error: unknown) => {
        const { code, message } = toStarlingError(error);
        this.#options.log.debug({ from: link.remote, code }, message);
        link.close();
      });
  }

  /** The connection has become a link: it ends with it, and no sooner. */
  #isLink(socket: Socket): void {
    clearTimeout(this.#deadlines.get(endsOf(socket)));
  }
}

/** What tells a connection from others; the same for a TLS socket and the one under it. */
const endsOf = ({ localAddress, remoteAddress, remotePort }: Socket): string =>
  `${localAddress} ${remoteAddress} ${remotePort}`;

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
