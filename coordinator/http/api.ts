import { randomInt, randomUUID } from 'node:crypto';
import { type Handler, Hono } from 'hono';
import { cors } from 'hono/cors';
import { StarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import type { Batches } from '../batches/batches.ts';
import type { PlanHealth } from '../cluster/cluster.ts';
import type { TextService } from '../generation/text-service.ts';
import type { ApiKeys } from '../keys/api-keys.ts';
import type { ModelFacts } from '../model-facts.ts';
import { type AccessPolicy, guardAccess, isOriginAllowed, LOOPBACK_ONLY } from './access.ts';
import type { ApiContext, ClusterUsage, DeviceHealth } from './api-context.ts';
import { Authentication } from './authentication.ts';
import type { Route } from './dialect.ts';
import { ResponseStore } from './dialects/openai/responses/response-store.ts';
import { errorResponse } from './error-response.ts';
import { RequestScopes } from './request-scope.ts';
import { ROUTES } from './routes.ts';
import { UnknownNames } from './unknown-names.ts';

export interface ApiOptions {
  readonly service: TextService;
  readonly log: Logger;
  readonly facts: ModelFacts;
  /** Files and batches; none by default. */
  readonly batches?: Batches | null;
  /** The devices shown by GET /health; none by default. */
  readonly devices?: () => readonly DeviceHealth[];
  /** What was planned for them; nothing by default. */
  readonly plan?: () => PlanHealth | null;
  /** What GET /metrics shows of them; nothing by default. */
  readonly usage?: () => ClusterUsage;
  /** By default, only this computer and its own pages. */
  readonly access?: AccessPolicy;
  /** Keys of which every request needs one; none, and everybody gets in, by default. */
  readonly keys?: ApiKeys | null;
  /** Silence after which a stream carries a comment; 10 s by default, below the idle limits of common proxies. */
  readonly keepAliveMs?: number;
  /** How long a client may read nothing; 30 s by default. */
  readonly stalledClientMs?: number;
  /** Aborts all requests. */
  readonly shutdown?: AbortSignal;
}

const KEEP_ALIVE_MS = 10_000;
const STALLED_CLIENT_MS = 30_000;
/** `randomInt` takes ranges below 2^48. */
const SEED_LIMIT = 2 ** 48 - 1;
const PREFLIGHT_SECONDS = 600;

function handlerOf({ handler, byHeader = false, dialect: { header } }: Route, api: ApiContext): Handler {
  const handle = handler(api);
  if (!byHeader || header === undefined) return handle;
  return (c, next) => (c.req.header(header) === undefined ? next() : handle(c, next));
}

/** The HTTP interface, without a socket. Errors have the shape of the dialect that a path is of. */
export function createApi(options: ApiOptions): Hono {
  const { service, log } = options;
  const access = options.access ?? LOOPBACK_ONLY;
  const api: ApiContext = {
    service,
    facts: options.facts,
    log,
    authentication: new Authentication(options.keys ?? null),
    batches: options.batches ?? null,
    devices: options.devices ?? (() => []),
    plan: options.plan ?? (() => null),
    usage: options.usage ?? (() => null),
    keepAliveMs: options.keepAliveMs ?? KEEP_ALIVE_MS,
    stalledClientMs: options.stalledClientMs ?? STALLED_CLIENT_MS,
    unixTime: () => Math.floor(Date.now() / 1000),
    randomSeed: () => randomInt(SEED_LIMIT),
    uniqueId: () => randomUUID().replaceAll('-', ''),
    unknownFields: new UnknownNames(log),
    responses: new ResponseStore(),
    scopes: new RequestScopes(options.shutdown),
  };

  // A slash at the end changes nothing.
  const app = new Hono({ strict: false });
  app.onError((thrown, c) => errorResponse(thrown, c, log));
  app.notFound((c) => {
    const message = `there is nothing at ${c.req.method} ${c.req.path.slice(0, 200)}; OpenAI's API is below /v1, Ollama's below /api`;
    return errorResponse(new StarlingError('route_not_found', message), c, log);
  });
  app.use(guardAccess(access));
  app.use(
    cors({
      origin: (origin, c) => (isOriginAllowed(origin, c.req.header('host') ?? '', access) ? origin : null),
      allowMethods: [...new Set(ROUTES.map(({ method }) => method)), 'OPTIONS'],
      maxAge: PREFLIGHT_SECONDS,
    }),
  );
  // After the above, as browsers ask without a key first whether they may.
  app.use(api.authentication.guard());

  for (const route of ROUTES) app.on(route.method, route.path, handlerOf(route, api));
  for (const path of new Set(ROUTES.map((route) => route.path))) {
    const methods = [...new Set(ROUTES.filter((route) => route.path === path).map(({ method }) => method))];
    app.all(path, (c) => {
      c.header('Allow', methods.join(', '));
      const message = `${c.req.path} does not take ${c.req.method}; use ${methods.join(' or ')}`;
      return errorResponse(new StarlingError('method_not_allowed', message), c, log);
    });
  }
  return app;
}
