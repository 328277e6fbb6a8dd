import { Constraint } from './constraint.ts';
import type { FormatCompiler } from './format-compiler.ts';
import { Network } from './network.ts';
import { invalidFormat, type OutputFormat } from './output-format.ts';
import { readPieces, type TokenSource, VocabularyIndex } from './vocabulary-index.ts';

const MAX_LENGTH = 1024 * 1024;
/** Formats that are kept for later requests, with all that was found out about them. */
const MAX_KEPT = 8;

interface Kept {
  readonly network: Network;
  /** Of the empty text. */
  constraint: Constraint;
}

/** The constraints of one vocabulary, made as they are asked for. */
export class OutputFormats {
  readonly #source: TokenSource;
  readonly #vocabSize: number;
  readonly #compiler: FormatCompiler;
  #vocabulary: Promise<VocabularyIndex> | null = null;
  /** The one used longest ago is first. */
  readonly #kept = new Map<string, Promise<Kept>>();

  constructor(source: TokenSource, vocabSize: number, compiler: FormatCompiler) {
    this.#source = source;
    this.#vocabSize = vocabSize;
    this.#compiler = compiler;
  }

  /**
   * The constraint of a text that is to begin.
   * @throws StarlingError as formatGrammar, networkTables, Constraint.of and FormatCompiler
   */
  async constraint(format: OutputFormat): Promise<Constraint> {
    const key = keyOf(format);
    const made = this.#kept.get(key) ?? this.#make(key);
    this.#keep(key, made);
    try {
      const kept = await made;
      if (kept.constraint.isWorn) kept.constraint = await this.#begin(kept.network);
      return kept.constraint;
    } catch (thrown) {
      this.#kept.delete(key);
      throw thrown;
    }
  }

  async #make(key: string): Promise<Kept> {
    const network = new Network(await this.#compiler.network(key));
    return { network, constraint: await this.#begin(network) };
  }

  async #begin(network: Network): Promise<Constraint> {
    this.#vocabulary ??= this.#index();
    return Constraint.of(network, this.#source, await this.#vocabulary);
  }

  async #index(): Promise<VocabularyIndex> {
    try {
      const pieces = await readPieces(this.#source, this.#vocabSize);
      return new VocabularyIndex(await this.#compiler.vocabulary(pieces));
    } catch (thrown) {
      this.#vocabulary = null;
      throw thrown;
    }
  }

  #keep(key: string, made: Promise<Kept>): void {
    this.#kept.delete(key);
    this.#kept.set(key, made);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MAX_KEPT) break;
      this.#kept.delete(oldest);
    }
  }
}

function keyOf(format: OutputFormat): string {
  let key: string;
  try {
    key = JSON.stringify(format);
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
    throw invalidFormat('it nests too deep');
  }
  if (key.length > MAX_LENGTH) throw invalidFormat(`it is longer than ${MAX_LENGTH} characters`);
  return key;
}
