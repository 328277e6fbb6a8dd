// The centre of bench-star.ts, in a process of its own: it gives phases out and awaits their answers, as Star does.
import { dialData } from '../daemon/protocol/link-client.ts';
import { Poller } from '../daemon/protocol/poller.ts';
import { inputFrame } from '../daemon/protocol/star-codec.ts';
import { channelNamed, compute, PHASE_OF_BENCH, SESSION, type StarCentreTask } from './star-bench-work.ts';

/** Rounds before any is counted: code is compiled, and the pollers learn how long they wait. */
const WARM_UP = 500;
const DIAL_MS = 5000;

async function measure(task: StarCentreTask): Promise<number[]> {
  const openChannel = channelNamed(task.channel);
  const secret = Buffer.from(task.secret, 'hex');
  const dial = { host: '127.0.0.1', timeoutMs: DIAL_MS, session: SESSION, secret, openChannel };
  const links = await Promise.all(task.ports.map((port) => dialData({ ...dial, port })));
  const input = new Uint8Array(task.outBytes);
  const poller = new Poller();
  let answers = 0;
  for (const link of links) link.onFrame(() => answers++);
  const overheads: number[] = [];
  for (let round = 0; round < WARM_UP + task.rounds; round++) {
    answers = 0;
    const begun = performance.now();
    for (const link of links) link.send(inputFrame(PHASE_OF_BENCH), input);
    compute(task.computeMs);
    const wait = poller.begin(0);
    await wait.until(() => answers === links.length, links);
    // Late ones come with the event loop.
    while (answers < links.length) await new Promise((resolve) => setImmediate(resolve));
    wait.end();
    if (round >= WARM_UP) overheads.push((performance.now() - begun - task.computeMs) * 1000);
  }
  for (const link of links) link.close();
  return overheads;
}

process.once('disconnect', () => process.exit(1));
const overheads = await measure(JSON.parse(process.argv[2] ?? ''));
process.send?.(overheads, () => process.exit(0));
