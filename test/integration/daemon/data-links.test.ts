import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClusterKey } from '../../../daemon/cluster-key.ts';
import { type OpenChannel, SECRET_BYTES } from '../../../daemon/protocol/channel.ts';
import type { DataLink } from '../../../daemon/protocol/data-link.ts';
import { FRAME_TYPES, type Frame, MAX_FRAME } from '../../../daemon/protocol/frames.ts';
import type { CloseReason } from '../../../daemon/protocol/link.ts';
import { dialData } from '../../../daemon/protocol/link-client.ts';
import { LinkServer } from '../../../daemon/protocol/link-server.ts';
import { nativeChannels } from '../../../daemon/protocol/native-channel.ts';
import { openJsChannel } from '../../../daemon/protocol/open-channel.ts';
import { Arrivals } from '../../fixtures/arrivals.ts';
import { encodeFrame } from '../../fixtures/encode-frame.ts';
import { recordedLog } from '../../fixtures/log-recorder.ts';
import { RawDataLink } from '../../fixtures/raw-data-link.ts';

const HOST = '127.0.0.1';
const SESSION = 'abc-1';
const SECRET = randomBytes(SECRET_BYTES);
const native = nativeChannels();

const ways: readonly (readonly [string, OpenChannel])[] = [
  ['JavaScript', openJsChannel],
  ...(native === null ? [] : [['native', native] as const]),
];

async function serve(t: TestContext, openChannel: OpenChannel, handshakeTimeoutMs = 10_000) {
  const datas = new Arrivals<DataLink>();
  const { log } = recordedLog();
  const server = new LinkServer({
    key: ClusterKey.generate(),
    log,
    onControl: () => assert.fail('no control link was dialled'),
    secretOf: (session) => (session === SESSION ? SECRET : null),
    onData: (link) => datas.push(link),
    openChannel,
    handshakeTimeoutMs,
  });
  const port = await server.start(0, HOST);
  t.after(() => server.stop());
  return { port, datas, to: { host: HOST, port, timeoutMs: 5000, session: SESSION, secret: SECRET } };
}

const closed = (link: DataLink): Promise<CloseReason> => new Promise((resolve) => link.onClose(resolve));

for (const [nearWay, nearChannel] of ways) {
  for (const [farWay, farChannel] of ways) {
    const pair = async (t: TestContext) => {
      const { to, datas, port } = await serve(t, farChannel);
      const near = await dialData({ ...to, openChannel: nearChannel });
      return { near, far: await datas.next(), port };
    };

    test(`${nearWay} to ${farWay}: frames arrive whole and in order, before and after someone listens`, async (t) => {
      const { near, far } = await pair(t);
      const big = randomBytes(3_000_001);
      near.send({ type: FRAME_TYPES.STEP, step: 7 });
      near.send({ type: FRAME_TYPES.TILE, index: 2 }, big.subarray(0, 10), big.subarray(10));
      // Lengths at which the head of a frame changes.
      for (const bytes of [85, 86, 65_495, 65_496])
        near.send({ type: FRAME_TYPES.TILE, index: bytes }, big.subarray(0, bytes));
      await sleep(50);
      const frames = new Arrivals<Frame>();
      far.onFrame(frames.push);
      const first = await frames.next();
      assert.equal(first.header.step, 7);
      assert.equal(first.payload.length, 0);
      const second = await frames.next();
      assert.equal(second.header.index, 2);
      assert.equal(big.compare(second.payload), 0);
      for (const bytes of [85, 86, 65_495, 65_496]) {
        const { header, payload } = await frames.next();
        assert.equal(header.index, bytes);
        assert.equal(big.subarray(0, bytes).compare(payload), 0);
      }
      near.onFrame(frames.push);
      far.send({ type: FRAME_TYPES.SUMS, layer: 3 }, Uint8Array.of(9));
      const third = await frames.next();
      assert.equal(third.header.layer, 3);
      assert.deepEqual([...third.payload], [9]);
    });

    test(`${nearWay} to ${farWay}: what is polled and what the event loop reads keep their order`, async (t) => {
      const { near, far } = await pair(t);
      const heard: number[] = [];
      let told = (): void => {};
      far.onFrame(({ header, payload }) => {
        heard.push(header.step);
        assert.equal(payload.length, (header.step * 977) % 150_000);
        if (header.step === 399) told();
      });
      const all = new Promise<void>((resolve) => {
        told = resolve;
      });
      const bytes = randomBytes(150_000);
      for (let step = 0; step < 400; step++) {
        near.send({ type: FRAME_TYPES.INPUT, step }, bytes.subarray(0, (step * 977) % 150_000));
        if (step % 3 === 0) far.poll();
        if (step % 7 === 0) await sleep(0);
      }
      await all;
      assert.deepEqual(heard, [...heard.keys()]);
    });

    test(`${nearWay} to ${farWay}: a sender can wait until its frames are out`, async (t) => {
      const { near, far } = await pair(t);
      const chunk = new Uint8Array(4 << 20);
      for (let i = 0; i < 8; i++) near.send({ type: FRAME_TYPES.TILE, index: i }, chunk);
      assert.ok(near.bufferedAmount > 8 << 20, 'nobody reads yet');
      let drained = false;
      const waiting = near.drained(1 << 20).then(() => {
        drained = true;
      });
      await sleep(50);
      assert.equal(drained, false);
      let received = 0;
      far.onFrame(({ payload }) => {
        received += payload.length;
      });
      await waiting;
      assert.ok(near.bufferedAmount <= 1 << 20);
      await near.drained(1 << 20);
      near.send({ type: FRAME_TYPES.TILE }, chunk);
      const failing = near.drained(0);
      near.close();
      await assert.rejects(failing, { code: 'cancelled' });
      await assert.rejects(near.drained(0), { code: 'cancelled' });
      await closed(far);
      assert.equal(received, 9 * chunk.length);
    });

    test(`${nearWay} to ${farWay}: a listener that throws closes its link with the error`, async (t) => {
      const { near, far } = await pair(t);
      near.onFrame(() => {});
      far.onFrame(() => {
        throw new TypeError('a bug');
      });
      near.send({ type: FRAME_TYPES.STEP });
      const reason = await closed(far);
      assert.equal(reason?.code, 'internal');
      assert.equal(reason?.message, 'a bug');
      assert.match((await closed(near))?.message ?? '', /\(internal\)/);
    });
  }
}

for (const [way, openChannel] of ways) {
  test(`${way}: what breaks the protocol closes that link with its code, and no other`, async (t) => {
    const { port, to, datas } = await serve(t, openChannel);
    const healthy = await dialData({ ...to, openChannel });
    await datas.next();
    const frame = encodeFrame({ type: FRAME_TYPES.TILE }, [new Uint8Array(9)]);
    const invalid = ['protocol_invalid_message', 1002] as const;
    type Send = (link: RawDataLink) => void;
    const raw =
      (hex: string): Send =>
      (link) =>
        void link.socket.write(Buffer.from(hex, 'hex'));
    const altered =
      (change: (sealed: Buffer) => Buffer): Send =>
      (link) =>
        void link.socket.write(change(link.sealed(frame)));
    const flipped = (at: number): Send =>
      altered((sealed) => {
        const place = at < 0 ? sealed.length + at : at;
        sealed[place]! ^= 1;
        return sealed;
      });
    const cases: [string, Send, string, number][] = [
      ['less than a header', (link) => link.send(Buffer.alloc(23)), ...invalid],
      ['no type', (link) => link.send(Buffer.alloc(24)), 'protocol_unknown_frame', 1002],
      ['half a frame', (link) => link.send(frame.subarray(0, 30)), ...invalid],
      ['too long a message', (link) => link.send(Buffer.alloc(MAX_FRAME + 25)), 'protocol_frame_too_long', 1009],
      ['text', raw('8180000000'), ...invalid],
      ['a ping', raw('8980000000000000'), ...invalid],
      ['a piece of a message', raw('0290000000000000'), ...invalid],
      ['a reserved bit', raw('c290000000000000'), ...invalid],
      ['no mask', raw('8210000000000000'), ...invalid],
      ['a mask that hides', raw('829000000001000000'), ...invalid],
      ['a length in too long a form', raw('82fe007d00000000'), ...invalid],
      ['a length in far too long a form', raw('82ff000000000000ffff00000000'), ...invalid],
      ['a length that no memory has', raw('82ffffffffffffffffff00000000'), 'protocol_frame_too_long', 1009],
      ['less than a tag', raw('828f00000000'), ...invalid],
      ['a changed first byte of content', flipped(6), ...invalid],
      ['a changed last byte of content', flipped(-17), ...invalid],
      ['a changed tag', flipped(-1), ...invalid],
      ['a message twice', altered((sealed) => Buffer.concat([sealed, sealed])), ...invalid],
      [
        'two messages in the other order',
        (link) => {
          const first = link.sealed(frame);
          link.socket.write(Buffer.concat([link.sealed(frame), first]));
        },
        ...invalid,
      ],
      [
        'a message left out',
        (link) => {
          link.sealed(frame);
          link.send(frame);
        },
        ...invalid,
      ],
    ];
    for (const [what, send, code, closeCode] of cases) {
      const link = await RawDataLink.open(port, SESSION, SECRET);
      const far = await datas.next();
      let frames = 0;
      far.onFrame(() => frames++);
      const reason = closed(far);
      send(link);
      assert.equal((await reason)?.code, code, what);
      assert.deepEqual(await link.closed, { code: closeCode, reason: code }, what);
      assert.ok(frames <= 1, what);
    }
    assert.equal(healthy.closed, false);
  });

  test(`${way}: nobody without the secret opens a link, whatever was recorded of another`, async (t) => {
    const { port, to, datas } = await serve(t, openChannel, 300);
    let opened = false;
    void datas.next().then(() => {
      opened = true;
    });
    await assert.rejects(dialData({ ...to, openChannel, secret: randomBytes(SECRET_BYTES) }), { code: 'device_lost' });
    await assert.rejects(dialData({ ...to, openChannel, session: 'other' }), {
      code: 'device_unreachable',
      message: /status 404/,
    });
    for (const session of ['', 'a/b', '../control', 'a b', 'x'.repeat(65)]) {
      await assert.rejects(dialData({ ...to, openChannel, session }), { code: 'device_unreachable', message: /404/ });
    }
    const open = encodeFrame({ type: FRAME_TYPES.OPEN }, []);
    const recorded = (await RawDataLink.upgrade(port, SESSION, SECRET)).sealed(open);
    const replayed = await RawDataLink.upgrade(port, SESSION, SECRET);
    replayed.socket.write(recorded);
    assert.equal((await replayed.closed).code, 1002);
    // Another frame than OPEN; and more bytes than that takes, of whatever kind.
    const impatient = await RawDataLink.upgrade(port, SESSION, SECRET);
    impatient.send(encodeFrame({ type: FRAME_TYPES.STEP }, []));
    assert.equal((await impatient.closed).code, 1002);
    const large = await RawDataLink.upgrade(port, SESSION, SECRET);
    large.socket.write(Buffer.concat([Buffer.from('82ff000000000100000000000000', 'hex'), Buffer.alloc(100)]));
    assert.equal((await large.closed).code, 1002);
    const silent = await RawDataLink.upgrade(port, SESSION, SECRET);
    const begun = performance.now();
    await silent.closed;
    assert.ok(performance.now() - begun < 3000, 'who says nothing is not kept');
    assert.equal(opened, false);
  });

  test(`${way}: a device that is not who it says is refused`, async (t) => {
    const { port, to } = await serve(t, openChannel);
    // Answers the upgrade as a device would, and then with what the other side sent.
    const echo = createServer((near) => {
      const far = connect(port, HOST);
      const pass = (bytes: Buffer): void => {
        near.write(bytes);
        near.on('data', (more) => near.write(more));
      };
      near.once('data', (request) => far.write(request));
      far.once('data', pass);
      for (const socket of [near, far]) socket.on('error', () => {});
      near.on('close', () => far.destroy());
    });
    echo.listen(0, HOST);
    await once(echo, 'listening');
    t.after(() => echo.close());
    await assert.rejects(dialData({ ...to, port: (echo.address() as AddressInfo).port, openChannel }), {
      code: 'protocol_invalid_message',
    });
  });

  test(`${way}: a link that is cut in the middle of a frame is lost at both ends`, async (t) => {
    const { port, to, datas } = await serve(t, openChannel);
    const sockets: Socket[] = [];
    const relay = createServer((near) => {
      const far = connect(port, HOST);
      sockets.push(near, far);
      for (const socket of [near, far]) socket.on('error', () => {});
      near.pipe(far).pipe(near);
    });
    relay.listen(0, HOST);
    await once(relay, 'listening');
    t.after(() => relay.close());
    const near = await dialData({ ...to, port: (relay.address() as AddressInfo).port, openChannel });
    const far = await datas.next();
    for (const link of [near, far]) link.onFrame(() => {});
    const both = [closed(near), closed(far)];
    near.send({ type: FRAME_TYPES.TILE }, new Uint8Array(8 << 20));
    for (const socket of sockets) socket.destroy();
    for (const reason of await Promise.all(both)) assert.equal(reason?.code, 'device_lost');
  });
}
