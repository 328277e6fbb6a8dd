// A device of bench-star.ts, in a process of its own: it answers each input after computing for a given time.
import { ClusterKey } from '../daemon/cluster-key.ts';
import { createLogger } from '../daemon/log.ts';
import { FRAME_TYPES } from '../daemon/protocol/frames.ts';
import { LinkServer } from '../daemon/protocol/link-server.ts';
import { Poller } from '../daemon/protocol/poller.ts';
import { answerFrame, encodeUsage } from '../daemon/protocol/star-codec.ts';
import { channelNamed, compute, PHASE_OF_BENCH, SESSION, type StarDeviceTask } from './star-bench-work.ts';

const task: StarDeviceTask = JSON.parse(process.argv[2] ?? '');
const openChannel = channelNamed(task.channel);
const usage = encodeUsage({ computeMs: 0, diskMs: 0, bytesRead: 0 });
const content = new Uint8Array(task.backBytes);

const server = new LinkServer({
  key: ClusterKey.generate(),
  log: createLogger('warn', 'bench'),
  onControl: (link) => link.close(),
  secretOf: (session) => (session === SESSION ? Buffer.from(task.secret, 'hex') : null),
  openChannel,
  onData: (link) => {
    const poller = new Poller();
    let heard = 0;
    let observe: (() => void) | undefined;
    const answer = async (): Promise<void> => {
      // Nothing comes before the answer: to look for it gives the core away.
      compute(task.computeMs, () => link.poll());
      link.send(answerFrame(PHASE_OF_BENCH), usage, content);
      const before = heard;
      const wait = poller.begin(0);
      observe = wait.end;
      await wait.until(() => heard !== before || link.closed, [link]);
    };
    link.onFrame(({ header }) => {
      heard++;
      observe?.();
      observe = undefined;
      // In a turn of its own, as a phase is computed.
      if (header.type === FRAME_TYPES.INPUT) void Promise.resolve().then(answer);
    });
    link.onClose(() => process.exit(0));
  },
});
process.once('disconnect', () => process.exit(1));
process.send?.(await server.start(0, '127.0.0.1'));
