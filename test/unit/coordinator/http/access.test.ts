import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isHostAllowed, isHostName, LOOPBACK_ONLY } from '../../../../coordinator/http/access.ts';
import { originPattern } from '../../../../coordinator/http/origin-pattern.ts';

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

test('A5: origins are allowed one by one or by pattern, and nonsense is none', () => {
  const allows = (pattern: string, ...origins: string[]): boolean[] =>
    origins.map((origin) => originPattern(pattern)?.(origin) ?? false);
  assert.deepEqual(allows('chrome-extension://*', 'chrome-extension://abc', 'moz-extension://abc'), [true, false]);
  assert.deepEqual(allows('https://Chat.Example/', 'https://chat.example', 'https://chat.example:8443'), [true, false]);
  assert.deepEqual(allows('https://chat.example:443', 'https://chat.example', 'http://chat.example'), [true, false]);
  assert.deepEqual(allows('http://localhost:*', 'http://localhost:3000', 'http://localhost', 'http://evil:3000'), [
    ...[true, true, false],
  ]);
  const below = ['https://a.example.org', 'https://a.b.example.org', 'https://example.org', 'https://evilexample.org'];
  assert.deepEqual(allows('https://*.example.org', ...below), [true, true, false, false]);
  assert.deepEqual(allows('http://[::1]:80', 'http://[::1]'), [true]);
  assert.deepEqual(allows('*', 'https://anything.example', 'null'), [true, true]);
  assert.deepEqual(allows('null', 'null', 'https://a.example'), [true, false]);
  const nonsense = [
    '',
    'not a url',
    'http://',
    'chat.example',
    'https://a.example/path',
    'https://a.*',
    'https://a:99999',
  ];
  for (const text of [...nonsense, 'https://u:p@a.example', 'file:///x']) assert.equal(originPattern(text), null, text);
});

test('A5: a host to be allowed is a name or an address', () => {
  for (const text of ['*', 'box.home', 'localhost', '192.168.1.2', '::1', '[::1]', 'a_b'])
    assert.ok(isHostName(text), text);
  for (const text of ['', 'http://box', 'box:80', 'a b', 'box/', '-..']) assert.ok(!isHostName(text), text);
});
