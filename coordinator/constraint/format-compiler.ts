import { Worker } from 'node:worker_threads';
import { StarlingError } from '../../daemon/errors.ts';
import type { FormatJob, FormatReply } from './format-worker.ts';
import type { NetworkTables } from './network.ts';
import type { Pieces, VocabularyTables } from './vocabulary-tables.ts';

/** Heap of the thread, MiB: networks of the most states need about 100. */
const HEAP_MB = 256;
/** Formats that may wait: each takes up to some seconds. */
const MAX_WAITING = 32;

interface Waiting {
  readonly job: FormatJob;
  settle(reply: FormatReply | StarlingError): void;
}

/**
 * A thread that makes networks of formats, and indexes vocabularies, one after the other, while others have their
 * tokens computed. It starts with the first job.
 */
export class FormatCompiler {
  #worker: Worker | null = null;
  /** The first is under way. */
  readonly #jobs: Waiting[] = [];
  #stopped = false;

  /**
   * @param format an OutputFormat as JSON
   * @throws StarlingError invalid_request, unsupported_parameter; queue_full when too many wait; cancelled after `stop`
   */
  async network(format: string): Promise<NetworkTables> {
    const reply = await this.#ask({ kind: 'network', format });
    if (reply.kind !== 'network') throw unexpected();
    return reply.tables;
  }

  /** @throws StarlingError cancelled after `stop` */
  async vocabulary(pieces: Pieces): Promise<VocabularyTables> {
    const reply = await this.#ask({ kind: 'vocabulary', pieces });
    if (reply.kind !== 'vocabulary') throw unexpected();
    return reply.tables;
  }

  /** Ends the thread, and whatever waits for it. */
  stop(): void {
    this.#stopped = true;
    void this.#worker?.terminate();
    const error = stopped();
    for (const waiting of this.#jobs.splice(0)) waiting.settle(error);
  }

  async #ask(job: FormatJob): Promise<FormatReply> {
    if (this.#stopped) throw stopped();
    if (this.#jobs.length >= MAX_WAITING) {
      throw new StarlingError('queue_full', `${MAX_WAITING} formats of answers are waiting already; try again later`);
    }
    const reply = await new Promise<FormatReply>((resolve, reject) => {
      const settle = (outcome: FormatReply | StarlingError): void =>
        outcome instanceof StarlingError ? reject(outcome) : resolve(outcome);
      if (this.#jobs.push({ job, settle }) === 1) this.#begin(job);
    });
    if (reply.kind !== 'error') return reply;
    const { code, message, param } = reply;
    throw new StarlingError(code, message, param === undefined ? {} : { param });
  }

  #begin(job: FormatJob): void {
    this.#worker ??= this.#start();
    this.#worker.ref();
    this.#worker.postMessage(job);
  }

  #settle(outcome: FormatReply | StarlingError): void {
    // Without a job, it does not keep the program running.
    this.#worker?.unref();
    this.#jobs.shift()?.settle(outcome);
    const [next] = this.#jobs;
    if (next !== undefined) this.#begin(next.job);
  }

  #start(): Worker {
    const worker = new Worker(new URL('./format-worker.js', import.meta.url), {
      name: 'starling-formats',
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    });
    worker.on('message', (reply: FormatReply) => this.#settle(reply));
    worker.on('error', (error) => {
      this.#worker = null;
      const problem = `the format of the output cannot be used: ${error.message}; make it simpler`;
      this.#settle(new StarlingError('invalid_request', problem, { cause: error }));
    });
    return worker;
  }
}

function stopped(): StarlingError {
  return new StarlingError('cancelled', 'the server is stopping; ask again when it is back');
}

function unexpected(): StarlingError {
  return new StarlingError('internal', 'the thread for formats answered another question than was asked');
}
