import { isIP, isIPv6 } from 'node:net';
import type { MiddlewareHandler } from 'hono';
import { StarlingError } from '../../daemon/errors.ts';
import { originPattern } from './origin-pattern.ts';

/** Who may talk to the endpoint through a browser. */
export interface AccessPolicy {
  /** The address the server listens on. */
  readonly boundHost: string;
  /** More host names (without port) under which the server may be addressed; `*` allows all. */
  readonly allowedHosts: readonly string[];
  /** More origins whose pages may use the endpoint, as originPattern reads them. */
  readonly allowedOrigins: readonly string[];
}

export const LOOPBACK_ONLY: AccessPolicy = { boundHost: '127.0.0.1', allowedHosts: [], allowedOrigins: [] };

const HOST_HEADER = /^(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(:\d{1,5})?$/i;
const LOOPBACK_NAMES = new Set(['localhost', '127.0.0.1', '::1']);
const EVERY_ADDRESS = new Set(['0.0.0.0', '::', '']);

function withoutBrackets(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

/** A name as `hostName` gives it; a zone means something on this computer only, and clients leave it out. */
function comparable(host: string): string {
  const bare = withoutBrackets(host.toLowerCase()).split('%')[0] ?? '';
  return isIPv6(bare) ? withoutBrackets(new URL(`http://[${bare}]`).hostname) : bare;
}

/** Whether `--allow-host` can mean something by a text: a host name or IP address without a port, or `*`. */
export const isHostName = (text: string): boolean =>
  text === '*' ||
  isIP(withoutBrackets(text)) !== 0 ||
  (/^[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?$/i.test(text) && text.length <= 253);

/** The host name of a Host header, lower case, IPv6 in its short form without brackets; null when it is malformed. */
function hostName(header: string): string | null {
  if (!HOST_HEADER.test(header)) return null;
  const url = URL.canParse(`http://${header}`) ? new URL(`http://${header}`) : null;
  return url === null ? null : withoutBrackets(url.hostname);
}

/**
 * Whether a request addressed to this Host is meant for us. A page of a hostile site can make its own name point to
 * this computer (DNS rebinding) and is then same-origin with the endpoint, but its requests still carry that name.
 * An address literal cannot be rebound, so a server bound to every address takes any of them.
 */
export function isHostAllowed(header: string, policy: AccessPolicy): boolean {
  if (policy.allowedHosts.includes('*')) return true;
  const name = hostName(header);
  if (name === null) return false;
  if (LOOPBACK_NAMES.has(name) || name === comparable(policy.boundHost)) return true;
  if (EVERY_ADDRESS.has(policy.boundHost) && isIP(name) !== 0) return true;
  return policy.allowedHosts.some((allowed) => comparable(allowed) === name);
}

/**
 * Whether a page of this Origin may use the endpoint: pages of this computer, of the endpoint itself, and those
 * allowed.
 */
export function isOriginAllowed(origin: string, hostHeader: string, policy: AccessPolicy): boolean {
  if (policy.allowedOrigins.some((allowed) => originPattern(allowed)?.(origin))) return true;
  if (!URL.canParse(origin)) return false;
  const url = new URL(origin);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return false;
  if (LOOPBACK_NAMES.has(withoutBrackets(url.hostname))) return true;
  // The Host header has been checked before, so a page that came from there is ours.
  return url.host === hostHeader.toLowerCase();
}

/**
 * Refuses requests that a foreign web page makes through its visitor's browser.
 * @throws StarlingError forbidden_origin
 */
export function guardAccess(policy: AccessPolicy): MiddlewareHandler {
  return async (c, next) => {
    const host = c.req.header('host') ?? new URL(c.req.url).host;
    if (!isHostAllowed(host, policy)) {
      throw new StarlingError(
        'forbidden_origin',
        `requests addressed to the host '${host.slice(0, 100)}' are refused; use localhost, or name the host with --allow-host`,
      );
    }
    const origin = c.req.header('origin');
    if (origin !== undefined && !isOriginAllowed(origin, host, policy)) {
      throw new StarlingError(
        'forbidden_origin',
        `pages of '${origin.slice(0, 100)}' may not use this endpoint; allow them with --allow-origin`,
      );
    }
    await next();
  };
}
