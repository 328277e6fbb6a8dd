import { type Evaluator, isSolution, type Solution } from './evaluator.ts';
import type { Division } from './shares.ts';

/** A device that computes nothing, and why. */
export interface LeftOut {
  readonly id: string;
  readonly name: string;
  /** `memory`: no share would fit. `busy`: another coordinator has its memory. */
  readonly reason: 'slower' | 'memory' | 'busy';
  /** Milliseconds of a token if it had a share; null where it cannot have one. */
  readonly tokenMs: number | null;
  /** In words, for people. */
  readonly why: string;
}

/** Why each device that could be used has no share. */
export function leftOut(evaluator: Evaluator, chosen: Solution): LeftOut[] {
  return evaluator.problem.devices.flatMap(({ id, name, link, computesLayers, profile }, d) => {
    if (link === null || chosen.division.some((counts) => counts[d]! > 0)) return [];
    const told = (reason: LeftOut['reason'], tokenMs: number | null, why: string): LeftOut[] => [
      { ...{ id, name, reason, tokenMs }, why: `${name} is left out: ${why}` },
    ];
    if (!computesLayers) return told('busy', null, 'another "starling serve" uses it');
    const withIt = takenIn(evaluator, chosen, d);
    if (withIt === null) {
      const budget = Math.floor(profile.memory.budget / 1e6);
      return told('memory', null, `its ${budget} MB of memory are too little for any share of the model`);
    }
    const [now, then] = [chosen, withIt].map(({ tokenMs }) => milliseconds(tokenMs));
    return told('slower', withIt.tokenMs, `with it a token would take ${then} instead of ${now}`);
  });
}

/**
 * What it would take if a device had a tile of each phase of the layers; of those but attention, where it has no room
 * for a cache; null where there is no room for these either.
 */
export function takenIn(evaluator: Evaluator, chosen: Solution, device: number): Solution | null {
  const { works } = evaluator.problem;
  const layers = works.map(({ kind }) => kind !== 'head');
  const others = works.map(({ kind }) => kind === 'ffn' || kind === 'experts');
  for (const phases of [layers, others]) {
    const found = evaluator.evaluate(withTile(chosen.division, phases, device))!;
    if (isSolution(found)) return found;
  }
  return null;
}

/** A tile of some phases goes to a device, from the one with most. */
function withTile(division: Division, phases: readonly boolean[], device: number): Division {
  const known = new Map<readonly number[], readonly number[]>();
  return division.map((counts, p) => {
    if (!phases[p]) return counts;
    const most = counts.indexOf(Math.max(...counts));
    const next = known.get(counts) ?? counts.map((count, d) => count + (d === device ? 1 : 0) - (d === most ? 1 : 0));
    known.set(counts, next);
    return next;
  });
}

/** For people: two digits of what matters. */
export function milliseconds(ms: number): string {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(0)} s`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return ms >= 10 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(2)} ms`;
}
