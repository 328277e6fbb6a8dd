import { systemCode } from './system-error.ts';

/**
 * Every error a user can meet, in one table. The code is stable: clients, scripts and tests may rely on it. `http` is
 * the status an endpoint answers with, `fault` what an API may name the class of the error by, `exit` the exit code of
 * a command.
 */
export interface ErrorKind {
  readonly http: number;
  /**
   * What is amiss: the request, its key, that which it names is not there, too many ask, or this program and its
   * cluster.
   */
  readonly fault: 'request' | 'key' | 'absence' | 'crowd' | 'server';
  readonly exit: number;
}

const request = (http: number): ErrorKind => ({ http, fault: 'request', exit: 2 });
const server = (http: number, exit = 1): ErrorKind => ({ http, fault: 'server', exit });

export const ERRORS = {
  // a client's request
  invalid_request: request(400),
  invalid_json: request(400),
  context_length_exceeded: request(400),
  request_too_large: request(413),
  unsupported_parameter: request(400),
  unauthorized: { http: 401, fault: 'key', exit: 3 },
  model_not_found: { http: 404, fault: 'absence', exit: 2 },
  file_not_found: { http: 404, fault: 'absence', exit: 2 },
  response_not_found: { http: 404, fault: 'absence', exit: 2 },
  batch_not_found: { http: 404, fault: 'absence', exit: 2 },
  batches_unavailable: server(503),
  route_not_found: { http: 404, fault: 'absence', exit: 2 },
  method_not_allowed: request(405),
  forbidden_origin: request(403),
  queue_full: { http: 429, fault: 'crowd', exit: 1 },
  cancelled: server(499, 130),
  deadline_exceeded: server(504),
  starting: server(503),
  too_many_connections: server(503),
  unsupported_encoding: request(415),

  // a model file
  model_file_not_found: request(400),
  model_file_unreadable: request(400),
  model_not_gguf: request(400),
  model_file_changed: server(500),
  model_truncated: request(400),
  model_invalid: request(400),
  model_unsupported_version: request(400),
  model_unsupported_architecture: request(400),
  model_unsupported_tensor_type: request(400),
  model_unsupported_tokenizer: request(400),
  template_failed: request(400),
  template_invalid: server(500, 2),

  // the cluster
  no_key: server(500, 3),
  key_invalid: server(500, 3),
  key_mismatch: server(502, 3),
  already_running: server(500),
  device_unreachable: server(502),
  device_busy: server(503),
  device_lost: server(503),
  device_error: server(502),
  protocol_version: server(502),
  protocol_invalid_message: server(502),
  protocol_unknown_frame: server(502),
  protocol_frame_too_long: server(502),
  out_of_memory: server(503),
  memory_too_small: server(503),
  numeric_overflow: server(500),

  // the tile store
  tile_damaged: server(500),
  tile_missing: server(500),
  store_failed: server(500),
  disk_full: server(507),
  store_limit_exceeded: server(507),
  model_in_use: server(500),
  model_not_stored: { http: 404, fault: 'absence', exit: 2 },

  // a command
  invalid_argument: request(400),
  address_in_use: server(500),
  backend_unavailable: server(500),
  endpoint_unreachable: server(502),
  internal: server(500),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERRORS;

/** An error with a stable code. `message` says what went wrong, where, and what to do about it. */
export class StarlingError extends Error {
  readonly code: ErrorCode;
  /** The request parameter or file field at fault, where there is one. */
  readonly param: string | undefined;
  /** When trying again may help, where that can be told. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown; param?: string; retryAfterMs?: number }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'StarlingError';
    this.code = code;
    this.param = options?.param;
    this.retryAfterMs = options?.retryAfterMs;
  }

  get kind(): ErrorKind {
    return ERRORS[this.code];
  }
}

/** What a file system refuses, and what the owner of the computer can do about it. */
const REFUSALS: Readonly<Record<string, readonly [code: ErrorCode, advice: string]>> = {
  ENOSPC: ['disk_full', 'its disk is full: free some space'],
  EDQUOT: ['disk_full', 'the quota of its disk is used up: free some space'],
  EROFS: ['store_failed', 'its file system is read-only: name another folder, with STARLING_HOME or --store'],
  EACCES: [
    'store_failed',
    'this user may not: change its rights, or name another folder, with STARLING_HOME or --store',
  ],
  EPERM: [
    'store_failed',
    'this user may not: change its rights, or name another folder, with STARLING_HOME or --store',
  ],
  ENOTDIR: ['store_failed', 'a part of its path is no folder: name another one, with STARLING_HOME or --store'],
  EEXIST: [
    'store_failed',
    'something else is there: move it away, or name another folder, with STARLING_HOME or --store',
  ],
  ENAMETOOLONG: ['store_failed', 'its path is too long: name another folder, with STARLING_HOME or --store'],
  ELOOP: ['store_failed', 'its links lead in a circle: name another folder, with STARLING_HOME or --store'],
  EISDIR: ['store_failed', 'there is a folder of that name: move it away'],
  EIO: ['store_failed', 'its disk fails: look after it'],
  EMFILE: ['store_failed', 'this process has too many files open: raise the limit (ulimit -n)'],
  ENFILE: ['store_failed', 'this computer has too many files open'],
};

/**
 * What the system refused to do with a file, as an error with the advice that fits the cause: disk_full or
 * store_failed.
 * @param doing the verb, such as `write`
 */
export function fileError(thrown: unknown, doing: string, path: string): StarlingError {
  const why = systemCode(thrown) ?? (thrown instanceof Error ? thrown.message : String(thrown));
  const [code, advice] = REFUSALS[why] ?? ['store_failed', "check the disk and the folder's rights"];
  return new StarlingError(code, `cannot ${doing} ${path} (${why}); ${advice}`, { cause: thrown });
}

/**
 * Turns anything thrown into a StarlingError; what is neither that nor a file that the system refuses becomes
 * `internal`.
 */
export function toStarlingError(thrown: unknown): StarlingError {
  if (thrown instanceof StarlingError) return thrown;
  const refusal = REFUSALS[systemCode(thrown) ?? ''];
  if (refusal !== undefined && thrown instanceof Error && 'path' in thrown) {
    const [code, advice] = refusal;
    return new StarlingError(code, `${thrown.path} cannot be used (${systemCode(thrown)}); ${advice}`, {
      cause: thrown,
    });
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new StarlingError('internal', message, { cause: thrown });
}
