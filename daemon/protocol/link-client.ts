import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { WebSocket } from 'ws';
import type { ClusterKey } from '../cluster-key.ts';
import { StarlingError } from '../errors.ts';
import { systemCode } from '../system-error.ts';
import { MAX_CONTROL } from './control.ts';
import { HEADER_BYTES, MAX_FRAME } from './frames.ts';
import { ControlLink, type ControlLinkOptions, DataLink } from './link.ts';
import { hostPort } from './socket-link.ts';
import { clientTls } from './tls.ts';

export interface DialOptions {
  /** A name or an IP address. */
  readonly host: string;
  readonly port: number;
  readonly key: ClusterKey;
  /** For everything until the link is open. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Opens a control link.
 * @throws StarlingError key_mismatch when the other side has another cluster key; device_unreachable when nothing, or
 * something else than Starling, answers at host:port in time; cancelled by the signal
 */
export function dialControl(options: DialOptions & { readonly heartbeat?: ControlLinkOptions }): Promise<ControlLink> {
  return dial(
    options,
    '/control',
    MAX_CONTROL,
    (webSocket, socket) => new ControlLink(webSocket, socket, options.heartbeat),
  );
}

/** Opens a data link of a session; errors as for `dialControl`. */
export function dialData(options: DialOptions & { readonly session: string }): Promise<DataLink> {
  const path = `/data/${encodeURIComponent(options.session)}`;
  return dial(options, path, MAX_FRAME + HEADER_BYTES, (webSocket, socket) => new DataLink(webSocket, socket));
}

async function dial<L>(
  options: DialOptions,
  path: string,
  maxPayload: number,
  open: (webSocket: WebSocket, socket: TLSSocket) => L,
): Promise<L> {
  const deadline = AbortSignal.timeout(options.timeoutMs);
  const stop = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]);
  const socket = await handshake(options, stop);
  return upgrade(options, socket, path, maxPayload, stop, open);
}

/** The TLS connection; first and apart from the WebSocket, so that a wrong key is told from everything else. */
function handshake(options: DialOptions, stop: AbortSignal): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    if (stop.aborted) {
      reject(stopped(options));
      return;
    }
    const { host, port } = options;
    const tls: ConnectionOptions = { ...clientTls(options.key), host, port, servername: '' };
    const socket = connect(tls);
    const settle = (error?: StarlingError): void => {
      stop.removeEventListener('abort', abort);
      socket.removeListener('secureConnect', secured);
      // errors that follow a verdict change nothing
      socket.removeListener('error', failed).on('error', () => {});
      if (error === undefined) {
        resolve(socket);
        return;
      }
      socket.destroy();
      reject(error);
    };
    const abort = (): void => settle(stopped(options));
    const failed = (error: Error): void => settle(handshakeError(error, options));
    const secured = (): void => settle();
    stop.addEventListener('abort', abort, { once: true });
    socket.on('error', failed);
    socket.on('secureConnect', secured);
  });
}

function upgrade<L>(
  options: DialOptions,
  socket: TLSSocket,
  path: string,
  maxPayload: number,
  stop: AbortSignal,
  open: (webSocket: WebSocket, socket: TLSSocket) => L,
): Promise<L> {
  return new Promise((resolve, reject) => {
    const webSocket = new WebSocket(`wss://starling${path}`, {
      createConnection: () => socket,
      perMessageDeflate: false,
      maxPayload,
      skipUTF8Validation: true,
      // masks protect proxies from plain text that a page chose; inside TLS they only cost time
      generateMask: (mask) => mask.fill(0),
    });
    const where = hostPort(options.host, options.port);
    const settle = (error?: StarlingError): void => {
      stop.removeEventListener('abort', abort);
      webSocket.removeListener('unexpected-response', refused).removeListener('open', opened);
      if (error === undefined) {
        const link = open(webSocket, socket);
        webSocket.removeListener('error', failed);
        resolve(link);
        return;
      }
      webSocket.removeListener('error', failed).on('error', () => {});
      webSocket.terminate();
      socket.destroy();
      reject(error);
    };
    const abort = (): void => settle(stopped(options));
    const failed = (error: Error): void =>
      settle(
        new StarlingError(
          'device_unreachable',
          `${where} broke off (${systemCode(error) ?? error.message}); try again`,
          {
            cause: error,
          },
        ),
      );
    const refused = (_request: unknown, response: { statusCode?: number | undefined }): void =>
      settle(new StarlingError('device_unreachable', `${where} refused ${path} (status ${response.statusCode})`));
    const opened = (): void => settle();
    webSocket.on('error', failed);
    webSocket.on('unexpected-response', refused);
    webSocket.on('open', opened);
    stop.addEventListener('abort', abort, { once: true });
    if (stop.aborted) abort();
  });
}

function stopped({ host, port, timeoutMs, signal }: DialOptions): StarlingError {
  const where = hostPort(host, port);
  if (signal?.aborted) return new StarlingError('cancelled', `stopped dialling ${where}`, { cause: signal.reason });
  return new StarlingError(
    'device_unreachable',
    `${where} did not answer within ${timeoutMs} ms; is the device on, and does its firewall let Starling listen?`,
  );
}

function handshakeError(error: Error, { host, port, key }: DialOptions): StarlingError {
  const code = systemCode(error) ?? '';
  const where = hostPort(host, port);
  // an alert is the other side's word that it speaks TLS and does not accept this key
  if (/^ERR_SSL_.*ALERT/.test(code)) {
    return new StarlingError(
      'key_mismatch',
      `${where} belongs to another cluster (its key is not ${key.keyId}); run "starling key show" there and "starling key import" here`,
      { cause: error },
    );
  }
  const advice =
    code === 'ECONNREFUSED'
      ? 'nothing listens there; start Starling on that device'
      : code === 'ENOTFOUND' || code === 'EAI_AGAIN'
        ? 'no such name in this network; try its IP address'
        : code.startsWith('ERR_') || error.message.includes('certificate')
          ? 'something else than Starling listens there; check the port'
          : 'check its address and that it is on';
  return new StarlingError('device_unreachable', `${where} cannot be reached (${code || error.message}): ${advice}`, {
    cause: error,
  });
}
