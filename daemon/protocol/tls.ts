import { constants } from 'node:crypto';
import type { ConnectionOptions, PeerCertificate, TlsOptions } from 'node:tls';
import type { ClusterKey } from '../cluster-key.ts';

// Keys given by callback are bound to SHA-256, so these are the two suites of TLS 1.3 that can use them.
const COMMON = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256',
  ecdhCurve: 'X25519',
} as const;

/** The PSK identity that a client names in clear: which cluster it belongs to, but not the key. */
export const pskIdentity = (key: ClusterKey): string => `starling/1/${key.keyId}`;

/**
 * Options of a TLS server that serves holders of the cluster key and nobody else. It has no certificate, so a client
 * that does not prove the key cannot finish the handshake.
 */
export function serverTls(key: ClusterKey): TlsOptions {
  const identity = pskIdentity(key);
  return {
    ...COMMON,
    pskCallback: (_socket, offered) => (offered === identity ? key.psk() : null),
    // a ticket would let a connection resume with less than the key
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/**
 * Options of a TLS client that accepts holders of the cluster key and nobody else. A server without the key could still
 * offer a certificate: no authority is trusted, and the check that follows refuses every certificate.
 */
export function clientTls(key: ClusterKey): ConnectionOptions {
  return {
    ...COMMON,
    pskCallback: () => ({ psk: key.psk(), identity: pskIdentity(key) }),
    ca: [],
    checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
      Object.keys(certificate).length === 0 ? undefined : new Error('a certificate in place of the cluster key'),
  };
}
