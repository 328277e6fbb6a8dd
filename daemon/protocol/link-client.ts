import { randomBytes } from 'node:crypto';
import { type IncomingMessage, request } from 'node:http';
import { connect as connectTcp, type Socket } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { WebSocket } from 'ws';
import type { ClusterKey } from '../cluster-key.ts';
import { StarlingError } from '../errors.ts';
import { systemCode } from '../system-error.ts';
import { channelKeys, NONCE_BYTES, type OpenChannel } from './channel.ts';
import { MAX_CONTROL } from './control.ts';
import { ControlLink, type ControlLinkOptions } from './control-link.ts';
import { DataLink } from './data-link.ts';
import { hostPort, isSameComputer, plainAddress } from './link.ts';
import { clientTls } from './tls.ts';
import { deviceNonce, upgradeRequest } from './upgrade.ts';

export interface DialOptions {
  /** A name or an IP address. */
  readonly host: string;
  readonly port: number;
  readonly key: ClusterKey;
  /** For everything until the link is open. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface DialDataOptions extends Omit<DialOptions, 'key'> {
  readonly session: string;
  /** The session's, which the control link has brought to the device. */
  readonly secret: Uint8Array;
  readonly openChannel: OpenChannel;
}

/**
 * Opens a control link.
 * @throws StarlingError key_mismatch when the other side has another cluster key; device_unreachable when nothing, or
 * something else than Starling, answers at host:port in time; cancelled by the signal
 */
export async function dialControl(
  options: DialOptions & { readonly heartbeat?: ControlLinkOptions },
): Promise<ControlLink> {
  const stop = dialDeadline(options);
  const socket = await handshake(options, stop);
  return upgrade(options, socket, stop);
}

/**
 * Opens a data link of a session.
 * @throws StarlingError device_unreachable when no such session is found at host:port in time; device_lost or
 * protocol_invalid_message when the two sides have not the same secret; cancelled by the signal
 */
export async function dialData(options: DialDataOptions): Promise<DataLink> {
  const stop = dialDeadline(options);
  const nonce = randomBytes(NONCE_BYTES);
  const { response, socket, head } = await requestUpgrade(options, nonce, stop);
  const device = deviceNonce(response.headers, nonce);
  const where = hostPort(options.host, options.port);
  if (device === null) {
    socket.destroy();
    throw new StarlingError('device_unreachable', `${where} answers as something else than Starling; check the port`);
  }
  const keys = channelKeys(options.secret, { coordinator: nonce, device }, 'coordinator');
  const link = new DataLink(socket, options.openChannel(keys, 'coordinator'), 'coordinator', head);
  const abort = (): void => link.fail(dialStopped(options));
  stop.addEventListener('abort', abort, { once: true });
  try {
    if (stop.aborted) abort();
    await link.open();
    return link;
  } finally {
    stop.removeEventListener('abort', abort);
  }
}

/** Aborted when a dial takes too long, or by its signal. */
export function dialDeadline({ timeoutMs, signal }: Pick<DialOptions, 'timeoutMs' | 'signal'>): AbortSignal {
  // Not AbortSignal.timeout: what AbortSignal.any is made of is held weakly, and a timeout that is collected never
  // comes.
  const late = new AbortController();
  setTimeout(() => late.abort(), timeoutMs).unref();
  return signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]);
}

interface Upgraded {
  readonly response: IncomingMessage;
  readonly socket: Socket;
  /** What came after the answer. */
  readonly head: Buffer;
}

function requestUpgrade(options: DialDataOptions, nonce: Uint8Array, stop: AbortSignal): Promise<Upgraded> {
  const { host, port } = options;
  const path = `/data/${encodeURIComponent(options.session)}`;
  return new Promise((resolve, reject) => {
    if (stop.aborted) {
      reject(dialStopped(options));
      return;
    }
    const sent = request({
      createConnection: () => connectTcp({ host, port, noDelay: true }),
      path,
      headers: upgradeRequest(nonce),
    });
    const abort = (): void => settle(dialStopped(options));
    const settle = (error?: StarlingError, upgraded?: Upgraded): void => {
      stop.removeEventListener('abort', abort);
      // errors that follow a verdict change nothing
      sent.removeAllListeners('error').on('error', () => {});
      if (upgraded !== undefined) {
        resolve(upgraded);
        return;
      }
      sent.destroy();
      reject(error);
    };
    stop.addEventListener('abort', abort, { once: true });
    sent.once('error', (error) => settle(unreachable(error, options)));
    sent.once('response', ({ statusCode }) => settle(refusal(options, path, statusCode)));
    sent.once('upgrade', (response, socket, head) => settle(undefined, { response, socket: socket as Socket, head }));
    sent.end();
  });
}

const refusal = (options: Pick<DialOptions, 'host' | 'port'>, path: string, status: number | undefined) =>
  new StarlingError('device_unreachable', `${hostPort(options.host, options.port)} refused ${path} (status ${status})`);

/** The TLS connection; first and apart from the WebSocket, so that a wrong key is told from everything else. */
function handshake(options: DialOptions, stop: AbortSignal): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    if (stop.aborted) {
      reject(dialStopped(options));
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
    const abort = (): void => settle(dialStopped(options));
    const failed = (error: Error): void => {
      const [remote, local] = [plainAddress(socket.remoteAddress), plainAddress(socket.localAddress)];
      settle(handshakeError(error, options, isSameComputer(remote, local)));
    };
    const secured = (): void => settle();
    stop.addEventListener('abort', abort, { once: true });
    socket.on('error', failed);
    socket.on('secureConnect', secured);
  });
}

function upgrade(
  options: DialOptions & { readonly heartbeat?: ControlLinkOptions },
  socket: TLSSocket,
  stop: AbortSignal,
): Promise<ControlLink> {
  const path = '/control';
  return new Promise((resolve, reject) => {
    const webSocket = new WebSocket(`wss://starling${path}`, {
      createConnection: () => socket,
      perMessageDeflate: false,
      maxPayload: MAX_CONTROL,
      skipUTF8Validation: true,
      // masks protect proxies from plain text that a page chose; inside TLS they only cost time
      generateMask: (mask) => mask.fill(0),
    });
    const where = hostPort(options.host, options.port);
    const settle = (error?: StarlingError): void => {
      stop.removeEventListener('abort', abort);
      webSocket.removeListener('unexpected-response', refused).removeListener('open', opened);
      if (error === undefined) {
        const link = new ControlLink(webSocket, socket, options.heartbeat);
        webSocket.removeListener('error', failed);
        resolve(link);
        return;
      }
      webSocket.removeListener('error', failed).on('error', () => {});
      webSocket.terminate();
      socket.destroy();
      reject(error);
    };
    const abort = (): void => settle(dialStopped(options));
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
      settle(refusal(options, path, response.statusCode));
    const opened = (): void => settle();
    webSocket.on('error', failed);
    webSocket.on('unexpected-response', refused);
    webSocket.on('open', opened);
    stop.addEventListener('abort', abort, { once: true });
    if (stop.aborted) abort();
  });
}

/** The error of a dial that its deadline or its signal ended. */
export function dialStopped({ host, port, timeoutMs, signal }: Omit<DialOptions, 'key'>): StarlingError {
  const where = hostPort(host, port);
  if (signal?.aborted) return new StarlingError('cancelled', `stopped dialling ${where}`, { cause: signal.reason });
  return new StarlingError(
    'device_unreachable',
    `${where} did not answer within ${timeoutMs} ms; is the device on, and does its firewall let Starling listen?`,
  );
}

/** @param isHere whether the other side is on this computer */
function handshakeError(error: Error, options: DialOptions, isHere: boolean): StarlingError {
  // an alert is the other side's word that it speaks TLS and does not accept this key
  if (!/^ERR_SSL_.*ALERT/.test(systemCode(error) ?? '')) return unreachable(error, options);
  const where = hostPort(options.host, options.port);
  const advice = isHere
    ? 'if it is the daemon of this device, a key was imported or made while it ran: stop it and start it again'
    : 'run "starling key show" there and "starling key import" here';
  return new StarlingError(
    'key_mismatch',
    `${where} belongs to another cluster (its key is not ${options.key.keyId}); ${advice}`,
    { cause: error },
  );
}

/** The error of a dial that the system refused. */
export function unreachable(error: Error, { host, port }: Pick<DialOptions, 'host' | 'port'>): StarlingError {
  const code = systemCode(error) ?? '';
  const where = hostPort(host, port);
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
