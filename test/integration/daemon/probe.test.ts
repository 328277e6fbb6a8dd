import assert from 'node:assert/strict';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { RemoteRank } from '../../../coordinator/cluster/remote-rank.ts';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { homePaths } from '../../../daemon/paths.ts';
import type { DeviceProfile } from '../../../daemon/profile/device-profile.ts';
import type { Control } from '../../../daemon/protocol/control.ts';
import { FRAME_TYPES, MAX_FRAME } from '../../../daemon/protocol/frames.ts';
import { channelFor } from '../../../daemon/protocol/open-channel.ts';
import { bestBackend } from '../../../kernels/create-kernels.ts';
import { altered, closed, frame } from '../../fixtures/hostile-frames.ts';
import { ANSWER_MS, errorOf, LINK_BACKENDS, SECRET, SESSION, Target } from '../../fixtures/hostile-target.ts';
import { RawDataLink } from '../../fixtures/raw-data-link.ts';
import { Sandbox } from '../../fixtures/starling-sandbox.ts';

const measure = { t: 'measure', session: SESSION, secret: SECRET.toString('hex'), formats: [] } as const;

/** A daemon's process, and what dials it. */
async function device(t: TestContext): Promise<{ home: string; dial: () => Promise<RemoteRank> }> {
  const sandbox = new Sandbox(t);
  const key = ClusterKey.generate();
  const home = await sandbox.homeWithKey('device', key);
  // It is to measure by itself.
  rmSync(homePaths({ STARLING_HOME: home }).profileFile);
  const { port } = await sandbox.daemon('device', home);
  const dial = async (): Promise<RemoteRank> => {
    const rank = await RemoteRank.dial({
      ...{ host: '127.0.0.1', port, key, identity: { id: 'c'.repeat(16), name: 'coordinator' } },
      openChannel: channelFor(bestBackend()),
    });
    t.after(() => rank.close());
    return rank;
  };
  return { home, dial };
}

test('a device is measured, remembers that, and forgets it when it is told to', async (t) => {
  const { home, dial } = await device(t);
  const rank = await dial();
  const told: number[][] = [];
  const profile = await rank.measure(['Q8_0'], (done, total) => told.push([done, total]));
  assert.deepEqual(told, [
    [0, 3],
    [1, 3],
    [2, 3],
    [3, 3],
  ]);
  assert.deepEqual(Object.keys(profile.formats), ['Q8_0']);
  assert.ok(profile.disk > 1e3 && profile.disk < 1e9, `${profile.disk}`);
  assert.ok(profile.memory.budget > profile.memory.base && profile.memory.base > 5e7);
  assert.ok(existsSync(join(home, 'profile.json')));
  const link = await rank.measureLink();
  assert.ok(link.roundTripMs > 0.005 && link.roundTripMs < 100, `${link.roundTripMs} ms`);
  assert.ok(link.bytesPerMs > 1e3 && link.bytesPerMs < 1e8, `${link.bytesPerMs} bytes a millisecond`);

  // While it is kept, it is for nobody else.
  const other = await dial();
  assert.deepEqual([other.welcome.busy, other.welcome.serving], [true, null]);
  await assert.rejects(
    other.measure([], () => {}),
    { code: 'device_busy', message: /is just measured/ },
  );

  rank.unload();
  const next = await dial();
  const again = await next.measure(['Q8_0'], () => assert.fail('what is kept is not measured'));
  const lasting = ({ memory: _, ...rest }: DeviceProfile) => rest;
  assert.deepEqual(lasting(again), lasting(profile));
  next.unload();

  next.forget();
  assert.notDeepEqual(lasting(await next.measure(['Q8_0'], () => {})), lasting(profile));
});

test('a probe begins and ends in order, whatever coordinators do', async (t) => {
  const target = await Target.start(t);
  const { daemon } = target;

  await t.test('a probe gives way to its own load, and to nothing else', async () => {
    const link = await target.greet();
    link.send(measure);
    const other = await target.greet();
    other.send(target.load());
    assert.equal(await errorOf(other), 'device_busy');
    // It is measured still: that is ended, and no profile comes.
    link.send(target.load());
    assert.equal((await link.next(['missing', 'profile'], ANSWER_MS)).t, 'missing');
    link.send({ t: 'unload' });
    link.send(measure);
    assert.ok((await link.next(['profile'], ANSWER_MS)).phaseMs > 0);
    link.send(measure);
    assert.equal(await errorOf(link), 'device_busy');
    await target.assertServes('two probes');
  });

  await t.test('a session cannot be measured, and a probe not started', async () => {
    const link = await target.greet();
    link.send(target.load());
    await link.next(['missing'], ANSWER_MS);
    link.send(measure);
    assert.equal(await errorOf(link), 'device_busy');
    const early = await target.greet();
    for (const message of [{ ...measure }, { t: 'start' } as const]) early.send(message);
    assert.equal(await errorOf(early), 'protocol_invalid_message');
    await target.assertServes('a probe that was started');
  });

  await t.test('a coordinator that leaves while it measures leaves the device free', async () => {
    for (const leave of ['close', 'unload'] as const) {
      const link = await target.greet();
      link.send({ t: 'forget' });
      link.send(measure);
      await link.next(['progress'], ANSWER_MS);
      if (leave === 'unload') link.send({ t: 'unload' });
      else link.close();
      await target.assertServes(`leaving by ${leave}`);
      link.close();
    }
  });
  assert.doesNotMatch(daemon.process.stderr, /"code":"internal"/);
});
for (const backend of LINK_BACKENDS) {
  test(`a device with ${backend} kernels and links answers echoes, and nothing else, while it is probed`, async (t) => {
    const target = await Target.start(t, backend);
    const { daemon } = target;
    const control = await target.greet();
    control.send(measure);
    const profile: Control<'profile'> = await control.next(['profile'], ANSWER_MS);
    assert.ok(profile.disk > 0);
    const echo = (bytes: number, sent = 0): Buffer =>
      frame({ type: FRAME_TYPES.ECHO, index: bytes }, new Uint8Array(sent));
    const open = (): Promise<RawDataLink> => RawDataLink.open(daemon.port, SESSION, SECRET);
    let data = await open();
    await assert.rejects(open(), /status 404/, 'a second link');
    for (const [sent, asked] of [
      [0, 0],
      [5000, 0],
      [0, MAX_FRAME],
      [2 ** 20, 7],
    ] as const) {
      data.send(echo(asked, sent));
      const { header, payload } = await data.nextFrame();
      assert.deepEqual([header.type, payload.length], [FRAME_TYPES.ECHO, asked]);
    }
    // Many at once are answered in turn.
    const many = Array.from({ length: 5000 }, () => data.sealed(echo(3)));
    data.socket.write(Buffer.concat(many));
    for (let i = 0; i < many.length; i++) assert.equal((await data.nextFrame()).payload.length, 3);

    const invalid = closed(1002, 'protocol_invalid_message');
    for (const [what, message] of [
      ['more than a frame holds', echo(MAX_FRAME + 1)],
      ['2^32 − 1 bytes', echo(0xffff_ffff)],
      ['an input', frame({ type: FRAME_TYPES.INPUT, rows: 1 })],
      ['a step', frame({ type: FRAME_TYPES.STEP, rows: 1 })],
      ['a tile', frame({ type: FRAME_TYPES.TILE })],
      ['another OPEN', frame({ type: FRAME_TYPES.OPEN })],
      ['a length that is not so', altered(echo(1, 4), 12, 5, 4)],
    ] as const) {
      data.send(message);
      assert.deepEqual(await data.closed, invalid, what);
      data = await open();
    }
    // Who does not read what was asked for is cut off, before it fills the memory.
    data.socket.pause();
    const hungry = Array.from({ length: 64 }, () => data.sealed(echo(MAX_FRAME)));
    data.socket.write(Buffer.concat(hungry));
    const deadline = performance.now() + ANSWER_MS;
    while (!daemon.process.stderr.includes('another waits to be read')) {
      assert.ok(performance.now() < deadline, 'answers that nobody reads pile up');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    data.end();
    control.send({ t: 'unload' });
    control.send({ t: 'status_request' });
    assert.equal((await control.next(['status'], ANSWER_MS)).busy, false);
    await assert.rejects(open(), /status 404/, 'after the probe');
    control.close();
    await target.withSession('receiving', async (session) => {
      session.data.send(echo(1));
      assert.deepEqual(await session.data.closed, invalid, 'an echo in a session');
    });
    await target.assertServes('echoes');
    assert.doesNotMatch(daemon.process.stderr, /"code":"internal"/);
  });
}
