import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MODEL_SHAPES } from '../../../../scripts/model-shapes.ts';
import { type Home, homeOf, withoutJitter } from '../../../../scripts/simulation/home-devices.ts';
import { simulateHomes } from '../../../../scripts/simulation/homes.ts';
import { homesText } from '../../../../scripts/simulation/report-text.ts';
import { planHome, type Simulation, simulate } from '../../../../scripts/simulation/simulate.ts';
import { star, type Topology, twoLevels } from '../../../../scripts/simulation/topology.ts';
import { plannedModel } from '../../../fixtures/planning-cases.ts';

const OPTIONS = { passes: 3, seed: 7 };
/** A few layers do: each is like the next. */
const MODEL = plannedModel({ ...MODEL_SHAPES['llama-3.1-70b'], layers: 3 });

const token = (home: Home, topology: Topology, options = OPTIONS): Simulation =>
  simulate(MODEL, home, planHome(MODEL, home, 'all'), topology, 'token', options);

/** A home whose devices have so much less memory or so much quicker links than the usual one. */
const changed = (home: Home, memory: number, links = 1): Home => ({
  ...home,
  devices: home.devices.map((device) => ({
    ...device,
    profile: { ...device.profile, memory: { ...device.profile.memory, budget: memory } },
    link: device.link && { ...device.link, bytesPerMs: device.link.bytesPerMs * links },
  })),
});

const assertNear = (actual: number, expected: number, within: number): void =>
  assert.ok(Math.abs(actual / expected - 1) < within, `${actual} is not within ${within} of ${expected}`);

describe('a simulation', () => {
  it('takes what is predicted where nothing varies and the link of the serving device is no bottleneck', () => {
    for (const network of ['ethernet', 'wifi'] as const) {
      const home = withoutJitter(homeOf('laptop', 2, network, 1));
      const { meanMs, predictedMs, steadyMs } = token(home, star(2));
      assertNear(meanMs, predictedMs, 0.02);
      assertNear(steadyMs, meanMs, 1e-9);
    }
    // The prediction has all answers come at once, the simulation as devices are done.
    const home = changed(withoutJitter(homeOf('laptop', 8, 'ethernet', 1)), 6e9, 10);
    const { meanMs, predictedMs } = token(home, star(8));
    assertNear(meanMs, predictedMs, 0.12);
    assert.ok(meanMs < predictedMs * 1.02);
  });

  it('takes what is predicted where tiles come from the disk', () => {
    const enough = withoutJitter(homeOf('laptop', 2, 'ethernet', 1));
    const { meanMs, predictedMs } = token(changed(enough, 0.8e9), star(2));
    assert.ok(predictedMs > 3 * token(enough, star(2)).predictedMs, String(predictedMs));
    assertNear(meanMs, predictedMs, 0.05);
  });

  it('takes what is predicted of a prompt on one device', () => {
    const home = withoutJitter(homeOf('laptop', 1, 'ethernet', 1));
    const { meanMs, predictedMs } = simulate(MODEL, home, planHome(MODEL, home, 'all'), star(1), 'prompt', OPTIONS);
    assertNear(meanMs, predictedMs, 0.02);
  });

  it('is the same for the same seed, and another one for another', () => {
    const home = homeOf('laptop', 4, 'wifi', 3);
    const first = token(home, star(4));
    assert.deepEqual(token(homeOf('laptop', 4, 'wifi', 3), star(4)), first);
    assert.notEqual(token(home, star(4), { ...OPTIONS, seed: 8 }).meanMs, first.meanMs);
    assert.notDeepEqual(homeOf('laptop', 4, 'wifi', 4).devices, home.devices);
  });

  it('takes longer with jitter, the more the more devices all have to answer', () => {
    const [few, many] = [2, 16].map((count) => {
      // Links so fast that nobody waits for another one's frames.
      const { meanMs, steadyMs } = token(changed(homeOf('desktop', count, 'ethernet', 1), 12e9, 1000), star(count), {
        passes: 100,
        seed: 1,
      });
      return meanMs / steadyMs;
    });
    assert.ok(few! > 1 && many! > few!, `${few} ${many}`);
  });

  it('gains by a second level of stars with many devices on a switch, and loses with few', () => {
    const gain = (count: number): number => {
      const home = withoutJitter(homeOf('desktop', count, 'ethernet', 1));
      return token(home, star(count)).meanMs / token(home, twoLevels(count)).meanMs;
    };
    assert.ok(gain(4) < 1, String(gain(4)));
    assert.ok(gain(32) > 1.5, String(gain(32)));
  });

  it('gains nothing by it where all share the air', () => {
    const home = withoutJitter(homeOf('desktop', 16, 'wifi', 1));
    assert.ok(token(home, twoLevels(16)).meanMs > token(home, star(16)).meanMs);
  });
});

describe('homes', () => {
  it('are planned as Starling would, and stand in a table beside what others published', () => {
    const rows = simulateHomes(MODEL, [{ count: 2, device: 'raspberry-pi-4b' }], ['wifi'], OPTIONS);
    assert.deepEqual(
      rows.map(({ devices, network, used, readBytes }) => [devices, network, used, readBytes]),
      [['2 raspberry-pi-4b', 'wifi', 2, 0]],
    );
    const lines = homesText(rows).split('\n');
    assert.match(lines[0]!, /^devices +network +used +GB read +token +p50 +p99 +predicted +links +jitter +two levels/);
    assert.match(lines[1]!, new RegExp(`^2 raspberry-pi-4b +wifi +2 +0\\.0 +${rows[0]!.token.meanMs.toFixed(0)} `));
    assert.ok(lines.some((line) => line.startsWith('distributed-llama 0.1.0: 4843 ms')));
    // Columns stand below each other.
    assert.equal(lines[0]!.length, lines[1]!.length);
  });
});
