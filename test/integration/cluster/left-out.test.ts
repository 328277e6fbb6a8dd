import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlanReport } from '../../../coordinator/cluster/planner/plan-report.ts';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { SlowNetwork } from '../../../scripts/slow-network.ts';
import { rawRequest } from '../../fixtures/http-endpoint.ts';
import { Sandbox } from '../../fixtures/starling-sandbox.ts';
import { withoutC } from '../../unit/scripts/needs-c.ts';

/** Gigabytes a second: so that computing would take longer than a network on this machine. */
const SPEED = 0.01;
/** So many times slower one of them is that its smallest share would take longer than half of the model on another. */
const SLOWER = 40;

interface Health {
  readonly devices: readonly { readonly name: string }[];
  readonly left_out: readonly { readonly name: string; readonly reason: string; readonly token_ms: number }[];
  readonly predicted: { readonly token_ms: number };
}

async function complete(url: string, tokens: number): Promise<string> {
  const body = { model: 'starling', prompt: 'Once upon a time', temperature: 0, max_tokens: tokens };
  const { status, text } = await rawRequest(`${url}/v1/completions`, { method: 'POST', body: JSON.stringify(body) });
  assert.equal(status, 200, text);
  return (JSON.parse(text) as { choices: [{ text: string }] }).choices[0].text;
}

test('C18: a device that would make it slower is left out, and said to be', { skip: withoutC }, async (t) => {
  const sandbox = new Sandbox(t);
  const key = ClusterKey.generate();
  const daemon = async (name: string, speed: number) =>
    sandbox.daemon(name, await sandbox.homeWithKey(name, key, speed));
  const [near, slow, far] = [
    await daemon('near', SPEED),
    await daemon('slow', SPEED / SLOWER),
    await daemon('far', SPEED),
  ];
  const network = await SlowNetwork.start([{ host: '127.0.0.1', port: far.port }], { delayMs: 60, mbit: null });
  t.after(() => network.stop());
  const peers = [near, slow, { ...far, address: `127.0.0.1:${network.endpoints[0]!.port}` }];
  const own = await sandbox.homeWithKey('own', key, SPEED);

  await t.test('by plan', async () => {
    const plan = ['plan', 'tiny-chat', '--no-discovery', '--threads', '1', '--peer', near.address];
    const others = peers.slice(1).flatMap(({ address }) => ['--peer', address]);
    const { plan: chosen, alternatives } = await sandbox.runJson<PlanReport>([...plan, ...others, '--json'], {
      home: own,
    });
    assert.deepEqual(
      chosen?.devices.map(({ name }) => name),
      ['this device', 'near'],
    );
    assert.deepEqual(chosen.left_out.map(({ name, reason }) => `${name} ${reason}`).sort(), [
      'far slower',
      'slow slower',
    ]);
    const all = alternatives.find(({ kind }) => kind === 'all');
    assert.ok(all!.times!.token_ms > 2 * chosen.token_ms, JSON.stringify(all));
    const unknown = await sandbox.run([...plan, '--devices', 'attic'], { home: own });
    assert.match(unknown.stderr, /there is no device attic; found were .*near.* \[device_unreachable\]/);
    const small = await sandbox.run([...plan, '--devices', 'near', '--memory', '1MB'], { home: own });
    assert.match(small.stderr, /\[memory_too_small\]/);
  });

  const served = await sandbox.serve(own, 'tiny-chat', peers, ['--devices', 'auto']);
  assert.equal(served.devices, 2);
  await t.test('by the log', async () => {
    for (const name of ['slow', 'far']) {
      assert.match(
        served.process.stderr,
        new RegExp(`${name} is left out: with it a token would take [\\d.]+ m?s instead of`),
      );
    }
    assert.match(
      served.process.stderr,
      /expecting .* a token, .* binds; this device computes \d+%, near computes \d+%/,
    );
  });
  await t.test('by health and metrics', async () => {
    const { devices, left_out, predicted } = JSON.parse((await rawRequest(`${served.url}/health`)).text) as Health;
    assert.deepEqual(
      devices.map(({ name }) => name),
      ['this device', 'near'],
    );
    assert.deepEqual(left_out.map(({ name, reason }) => `${name} ${reason}`).sort(), ['far slower', 'slow slower']);
    for (const { token_ms } of left_out) assert.ok(token_ms > predicted.token_ms, `${token_ms}`);
    const { text } = await rawRequest(`${served.url}/metrics`);
    assert.match(text, /^starling_device_left_out\{device="slow",id="[0-9a-f]+",reason="slower"\} 1$/m);
  });
  await complete(served.url, 60);
  await served.process.logged(/a token takes [\d.]+ m?s; [\d.]+ m?s were expected/);
  const text = await complete(served.url, 3);
  await served.process.stop();

  const all = await sandbox.serve(own, 'tiny-chat', peers, ['--devices', 'all']);
  assert.equal(all.devices, 4);
  assert.equal(await complete(all.url, 3), text);
  await all.process.stop();
});
