/** Origins that the owner of an endpoint allows: one, or all that fit a pattern. */
export type OriginPattern = (origin: string) => boolean;

/** scheme://host or scheme://host:port; a star stands for the host, for its first label, or for the port. */
const PATTERN = /^([a-z][a-z0-9+.-]*):\/\/(\*|(?:\*\.)?[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}|\*))?\/?$/i;
const USUAL_PORTS: Readonly<Record<string, string>> = { http: '80', https: '443' };

/**
 * Reads what `--allow-origin` takes: `*` for every page there is, `null` for files and sandboxed pages, an origin such
 * as `https://chat.example`, or a pattern: `http://localhost:*`, `https://*.example.org`, `chrome-extension://*`. Case,
 * a slash at the end and a port that is the usual one do not matter, as browsers leave them out.
 * @returns null for anything else, such as an address with a path
 */
export function originPattern(text: string): OriginPattern | null {
  if (text === '*') return () => true;
  if (text === 'null') return (origin) => origin === 'null';
  const wanted = parts(text);
  if (wanted === null) return null;
  return (origin) => {
    const given = parts(origin);
    return (
      given !== null &&
      given.scheme === wanted.scheme &&
      (wanted.port === '*' || given.port === wanted.port) &&
      fits(given.host, wanted.host)
    );
  };
}

function parts(text: string): { readonly scheme: string; readonly host: string; readonly port: string } | null {
  const match = PATTERN.exec(text);
  if (match === null) return null;
  const [, scheme = '', host = '', port = ''] = match.map((part) => (part ?? '').toLowerCase());
  if (Number(port) > 65_535) return null;
  // With the host left open, so is the port, unless one is named.
  if (port === '' && host === '*') return { scheme, host, port: '*' };
  return { scheme, host, port: port === '' ? (USUAL_PORTS[scheme] ?? '') : port };
}

function fits(host: string, pattern: string): boolean {
  if (pattern === '*') return true;
  return pattern.startsWith('*.')
    ? host.endsWith(pattern.slice(1)) && host.length > pattern.length - 1
    : host === pattern;
}
