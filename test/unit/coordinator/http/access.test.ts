import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isHostAllowed, LOOPBACK_ONLY } from '../../../../coordinator/http/access.ts';

test('C16: an endpoint at an IPv6 address takes requests addressed to it, in any spelling and without its zone', () => {
  const allowed = (header: string, boundHost: string, allowedHosts: string[] = []): boolean =>
    isHostAllowed(header, { ...LOOPBACK_ONLY, boundHost, allowedHosts });
  assert.ok(allowed('[::1]:7827', '::1'));
  assert.ok(allowed('[fd88::1]:7827', 'FD88:0::1'));
  assert.ok(allowed('[FD88:0::1]', 'fd88::1'));
  assert.ok(allowed('[fe80::1]:7827', 'fe80::1%eth0'));
  assert.ok(allowed('[fd88::7]:7827', '::'));
  assert.ok(allowed('[::ffff:192.168.1.5]:7827', '::'));
  assert.ok(allowed('192.168.1.5:7827', '::'));
  assert.ok(allowed('[fd88::7]', 'fd88::1', ['[FD88::7]']));
  assert.ok(!allowed('[fd88::2]:7827', 'fd88::1'));
  assert.ok(!allowed('evil.example:7827', '::'));
  assert.ok(!allowed('[fd88::1', 'fd88::1'));
});
