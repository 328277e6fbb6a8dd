import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { StarlingError } from '../../daemon/errors.ts';
import { errorText } from './error-response.ts';

/** Enough for a full queue and its pages, several times over, and far below any limit on open files. */
export const MAX_CONNECTIONS = 1024;
/**
 * Connections beyond that are told so; beyond this factor they are closed, as answering them would be what overloads.
 */
const CROWD = 2;
/** Longer than the programs keep theirs that connect to such servers: a Go client 90 s, most others less. */
export const KEEP_ALIVE_MS = 120_000;
/** Seconds after which it may be worth to try again. */
const RETRY_SECONDS = 2;

/** How Node calls what is wrong with a request that it cannot read, and what its client is told. */
const MALFORMED: Readonly<Record<string, readonly [status: number, problem: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'its headers are too long'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'the extensions of its chunks are too long'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'it did not arrive whole in time'],
};

/**
 * Has a server answer what never becomes a request of a route: too many connections, and requests that cannot be read.
 */
export function answerConnections(server: Server, most = MAX_CONNECTIONS): void {
  const open = new Set<Socket>();
  const crowded = new WeakSet<Socket>();
  server.maxConnections = most * CROWD;
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    if (open.size <= most) return;
    // Those that wait for nothing make room first.
    server.closeIdleConnections();
    crowded.add(socket);
  });
  server.on('request', (incoming: IncomingMessage, outgoing: ServerResponse) => {
    if (!crowded.has(incoming.socket) || open.size <= most) return;
    incoming.resume();
    const error = new StarlingError('too_many_connections', `there are ${most} connections already; try again soon`);
    outgoing.writeHead(error.kind.http, {
      'Content-Type': 'application/json; charset=UTF-8',
      'Retry-After': String(RETRY_SECONDS),
      Connection: 'close',
    });
    outgoing.end(errorText(error, incoming.url ?? '/', (name) => Object.hasOwn(incoming.headers, name)));
  });
  server.on('checkExpectation', (_incoming: IncomingMessage, outgoing: ServerResponse) => {
    outgoing.writeHead(417, { 'Content-Type': 'application/json; charset=UTF-8', Connection: 'close' });
    outgoing.end(body('it expects something that is not known; leave out "Expect"'));
  });
  server.on('connect', (_incoming: IncomingMessage, socket: Socket) => answerRaw(socket, 405, 'this is no proxy'));
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const [status, problem] = MALFORMED[error.code ?? ''] ?? [400, error.message.replace(/^Parse Error: /, '')];
    answerRaw(socket, status, problem);
  });
}

const body = (problem: string): string =>
  errorText(new StarlingError('invalid_request', `the request is malformed: ${problem}`), '/');

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Payload Too Large',
  431: 'Request Header Fields Too Large',
};

/** Answers where there is no response to write to; what was answered in part already can only be cut. */
function answerRaw(socket: Socket, status: number, problem: string): void {
  const isAnswering = (socket as { _httpMessage?: { headersSent: boolean } })._httpMessage?.headersSent === true;
  if (!socket.writable || isAnswering) {
    socket.destroy();
    return;
  }
  const text = body(problem);
  socket.end(
    `HTTP/1.1 ${status} ${REASONS[status]}\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  );
}
