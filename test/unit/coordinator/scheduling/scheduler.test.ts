import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { median } from '../../../../scripts/bench-statistics.ts';
import { Random } from '../../../fixtures/random.ts';
import {
  type Arrival,
  computeBound,
  diskBound,
  type Served,
  simulate,
} from '../../../fixtures/scheduler-simulation.ts';

const PLENTY = { kvPages: 512, contextLength: 2048, stepMs: computeBound };

const random = new Random(5);
const prompt = (length: number): number[] => Array.from({ length }, () => random.below(1e6));

const wait = ({ at, endedAt }: Served): number => endedAt - at;

function repeat(
  count: number,
  arrival: (i: number) => Omit<Arrival, 'prompt'> & { prompt?: readonly number[] },
): Arrival[] {
  return Array.from({ length: count }, (_, i) => ({ prompt: prompt(30), ...arrival(i) }));
}

describe('Scheduler', () => {
  it('computes all that are there in one step, prompts in what room there is', () => {
    const rows: number[] = [];
    const { served } = simulate(
      repeat(8, () => ({ at: 0, user: 'ann', answer: 50 })),
      { ...PLENTY, onStep: (scheduler) => rows.push(scheduler.running.size) },
    );
    assert.ok(served.every(({ endedAt }) => endedAt > 0));
    // 240 rows of prompts, then 50 tokens for each of eight: about as many steps as one of them takes.
    assert.ok(rows.length < 50 + 20, `${rows.length} steps`);
    assert.equal(rows[10], 8);
  });

  it('keeps steps near the target for those who read along, whatever prompts wait', () => {
    const steps: number[] = [];
    let before = 0;
    simulate(
      [
        { at: 0, user: 'ann', prompt: prompt(10), answer: 400 },
        ...repeat(6, (i) => ({ at: 2000 + i * 500, user: 'ben', answer: 5, prompt: prompt(1000) })),
      ],
      {
        ...PLENTY,
        onStep: (_, now) => {
          if (now > 2500) steps.push(now - before);
          before = now;
        },
      },
    );
    assert.ok(median(steps) < 210, `${median(steps)} ms`);
    assert.ok(Math.max(...steps.slice(20)) < 260, `${Math.max(...steps)} ms`);
  });

  it('takes all rows that there are where they cost nothing', () => {
    let most = 0;
    simulate(
      repeat(64, () => ({ at: 0, user: 'ann', answer: 20, prompt: prompt(20) })),
      { ...PLENTY, stepMs: diskBound, onStep: ({ running }) => (most = Math.max(most, running.size)) },
    );
    assert.ok(most > 50, `${most} at a time`);
  });

  for (const [name, lengths] of Object.entries({ alike: [60, 60], 'unlike in length': [200, 20] })) {
    it(`gives two users with unequal demand the same service while both wait (answers ${name})`, () => {
      const [long, short] = lengths as [number, number];
      const arrivals = [
        ...repeat(300, () => ({ at: 0, user: 'ann', answer: long })),
        ...repeat(900, (i) => ({ at: i * 40, user: 'ben', answer: short })),
      ];
      const users = ['ann', 'ben'] as const;
      const before = { ann: 0, ben: 0 };
      const served = { ann: 0, ben: 0 };
      let steps = 0;
      simulate(arrivals, {
        ...PLENTY,
        until: 120_000,
        onStep: (scheduler) => {
          const both = users.every((user) => [...scheduler.waiting].some((job) => job.user === user));
          if (both) steps++;
          for (const user of users) {
            const service = scheduler.service(user);
            if (both) served[user] += service - before[user];
            before[user] = service;
          }
        },
      });
      assert.ok(steps > 300, `both waited in ${steps} steps`);
      const ratio = served.ann / served.ben;
      assert.ok(ratio > 0.9 && ratio < 1.1, `ann had ${served.ann} tokens, ben ${served.ben}`);
    });
  }

  it('lets a user who has nothing running in at once, and takes nothing from whom it interrupts', () => {
    const arrivals = [
      ...repeat(60, () => ({ at: 0, user: 'ann', answer: 500 })),
      { at: 10_000, user: 'ben', prompt: prompt(30), answer: 10 },
    ];
    const { served, scheduler } = simulate(arrivals, { ...PLENTY, kvPages: 99 });
    const ben = served.at(-1)!;
    assert.ok(ben.firstTokenAt - ben.at < 1500, `ben waited ${ben.firstTokenAt - ben.at} ms`);
    assert.ok(served.every(({ job, answer }) => job.generated === answer));
    assert.equal(scheduler.preemptions, 1);
  });

  it('does short jobs of a user first, and no job never', () => {
    const long = repeat(6, () => ({ at: 100, user: 'ann', answer: 300, prompt: prompt(600) }));
    const short = repeat(600, (i) => ({ at: i * 400, user: 'ann', answer: 10 }));
    const { served } = simulate([...short, ...long], PLENTY);
    const waits = (of: readonly Arrival[]): number[] =>
      served.filter(({ prompt }) => of.some((arrival) => arrival.prompt === prompt)).map(wait);
    assert.ok(median(waits(short)) < median(waits(long)) / 3, `${median(waits(short))} ${median(waits(long))}`);
    // A minute of being overtaken, and then the time that six of them take.
    assert.ok(Math.max(...waits(long)) < 150_000, `${Math.max(...waits(long))} ms`);
  });

  it('has batch work yield to interactive work, and loses none of its tokens', () => {
    const arrivals = [
      ...repeat(40, () => ({ at: 0, user: 'ann', answer: 300, priority: 'batch' as const })),
      ...repeat(40, (i) => ({ at: 3000 + i * 100, user: 'ben', answer: 50 })),
    ];
    const { served, scheduler } = simulate(arrivals, { ...PLENTY, kvPages: 64 });
    assert.ok(served.every(({ job, answer }) => job.generated === answer));
    assert.ok(scheduler.preemptions > 0);
    const byPriority = (priority: string): number[] =>
      served.filter((job) => (job.priority ?? 'interactive') === priority).map(wait);
    const [batch, interactive] = [byPriority('batch'), byPriority('interactive')];
    assert.ok(median(interactive) < median(batch) / 3, `${median(interactive)} ${median(batch)}`);
  });

  it('takes longer steps while only batch work decodes, and short ones when somebody reads along', () => {
    const batch = repeat(64, () => ({ at: 0, user: 'ann', answer: 60, priority: 'batch' as const }));
    const reader = { at: 9000, user: 'ben', prompt: prompt(30), answer: 40 };
    let most = 0;
    let before = 0;
    const read: number[] = [];
    const { served } = simulate([...batch, reader], {
      ...PLENTY,
      onStep: ({ running }, now) => {
        if (now < reader.at) most = running.size;
        else if ([...running].some(({ user, generated }) => user === 'ben' && generated > 1)) read.push(now - before);
        before = now;
      },
    });
    assert.equal(most, 64);
    assert.ok(read.length > 30 && Math.max(...read) < 260, `${read}`);
    const ben = served.find(({ user }) => user === 'ben')!;
    assert.ok(ben.firstTokenAt - ben.at < 1500, `ben waited ${ben.firstTokenAt - ben.at} ms`);
    assert.ok(served.every(({ job, answer }) => job.generated === answer));
  });

  it('gets batch work done in the end, however much interactive work there is', () => {
    const arrivals = [
      { at: 0, user: 'ann', prompt: prompt(30), answer: 20, priority: 'batch' as const },
      ...repeat(6000, (i) => ({ at: i * 100, user: 'ben', answer: 60 })),
    ];
    const { served } = simulate(arrivals, { ...PLENTY, until: 600_000 });
    const first = served.find(({ user }) => user === 'ann')!;
    assert.ok(first.endedAt < 330_000, `${first.endedAt} ms`);
  });

  it('lets small jobs pass one that needs more room than there is, but not for ever', () => {
    const arrivals = [
      { at: 0, user: 'ann', prompt: prompt(30), answer: 1500 },
      { at: 10, user: 'ben', prompt: prompt(30), answer: 1500 },
      ...repeat(400, (i) => ({ at: 20 + i * 150, user: `c${i % 5}`, answer: 20 })),
    ];
    // Room for one of the long ones and some short ones.
    const { served } = simulate(arrivals, { ...PLENTY, kvPages: 40 });
    const [first, second, ...short] = served as [Served, Served, ...Served[]];
    assert.ok(short.some(({ endedAt }) => endedAt < first.endedAt));
    assert.ok(second.firstTokenAt - first.endedAt < 5000, `${second.firstTokenAt} ${first.endedAt}`);
  });

  it('computes a beginning that many ask for at the same time once', () => {
    const system = prompt(640);
    const arrivals = repeat(6, () => ({ at: 0, user: 'ann', answer: 5, prompt: [...system, ...prompt(10)] }));
    let rows = 0;
    const stepMs = (count: number): number => {
      rows += count;
      return computeBound(count);
    };
    const { served } = simulate(arrivals, { ...PLENTY, stepMs });
    assert.equal(rows, 640 + 6 * (10 + 4));
    assert.deepEqual(
      served.map(({ job }) => job.cachedTokens).sort((a, b) => a - b),
      [0, 640, 640, 640, 640, 640],
    );
  });

  it('gives no rows to a paused job, and its room to others who need it', () => {
    const arrivals = [
      { at: 0, user: 'ann', prompt: prompt(30), answer: 1000 },
      { at: 1000, user: 'ben', prompt: prompt(30), answer: 1000 },
    ];
    let paused = false;
    const { served } = simulate(arrivals, {
      ...PLENTY,
      kvPages: 20,
      onStep: (scheduler, now) => {
        const [job] = [...scheduler.running, ...scheduler.waiting].filter(({ user }) => user === 'ann');
        if (job === undefined) return;
        if (!paused && now > 900) scheduler.pause(job, true);
        paused = now > 900;
        if (now > 5000) scheduler.pause(job, false);
      },
    });
    const [ann, ben] = served as [Served, Served];
    assert.ok(ben.firstTokenAt < 1500, `${ben.firstTokenAt}`);
    assert.ok(ann.endedAt > ben.endedAt);
    assert.equal(ann.job.generated, 1000);
  });
});
