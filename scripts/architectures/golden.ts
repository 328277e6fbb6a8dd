import { randomWords } from '../random-words.ts';

/**
 * What llama.cpp made of a small model: for each of STEPS positions its likeliest next token and that token's
 * probability.
 */
export interface ArchitectureGolden {
  /** Program and version. */
  readonly engine: string;
  /** Of the weights and of the tokens. */
  readonly seed: number;
  readonly tokens: readonly number[];
  readonly probabilities: readonly number[];
  /** Of the second likeliest. */
  readonly seconds: readonly number[];
}

/** Rows before the first that is compared. */
export const PROMPT = 32;
export const STEPS = 256;
/** Positions that programs are told to make room for; some models choose their rotation by it. */
export const CONTEXT = 512;

/** Random tokens, none of them a control token: a model's own choices would soon go round in a loop. */
export function forcedTokens(seed: number, vocabSize: number): number[] {
  const words = randomWords(new Uint8Array((PROMPT + STEPS) * 4), seed, 0);
  return Array.from(words, (word) => 3 + (word % (vocabSize - 3)));
}

/**
 * A choice between two tokens that are closer than this may fall either way, as programs round activations differently.
 */
const CLEAR_LEAD = 0.05;

export interface Closeness {
  /** Share of all steps with the same likeliest token. */
  readonly agreement: number;
  /** Share of the steps in which the golden's token leads clearly. */
  readonly clear: number;
  /** Share of the clear steps with the same likeliest token. */
  readonly clearAgreement: number;
  /** Mean distance of the probability of the golden's token. */
  readonly distance: number;
}

/** @param probabilities of every token, for each step */
export function closeness(golden: ArchitectureGolden, probabilities: readonly Float64Array[]): Closeness {
  let [agreed, clear, clearAgreed, distance] = [0, 0, 0, 0];
  for (const [step, each] of probabilities.entries()) {
    const token = golden.tokens[step] ?? 0;
    const probability = golden.probabilities[step] ?? 0;
    const agrees = likeliest(each) === token;
    distance += Math.abs((each[token] ?? 0) - probability);
    if (agrees) agreed++;
    if (probability - (golden.seconds[step] ?? 0) < CLEAR_LEAD) continue;
    clear++;
    if (agrees) clearAgreed++;
  }
  const steps = probabilities.length;
  return {
    agreement: agreed / steps,
    clear: clear / steps,
    clearAgreement: clearAgreed / clear,
    distance: distance / steps,
  };
}

export const likeliest = (probabilities: Float64Array): number => probabilities.indexOf(Math.max(...probabilities));
