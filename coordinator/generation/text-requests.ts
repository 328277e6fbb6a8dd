import { StarlingError } from '../../daemon/errors.ts';
import type { Job } from '../scheduling/job.ts';
import type { Scheduler } from '../scheduling/scheduler.ts';
import type { Answer } from './answer.ts';
import { cancelledBy } from './cancellation.ts';
import type { EmbeddingText } from './embedding.ts';
import { EventQueue } from './event-queue.ts';
import type { GenerationEvent, Standing } from './events.ts';

const DEFAULT_QUEUE_LIMIT = 64;
/** Texts that requests may wait for, on average: a request may ask for several hundred. */
const TEXTS_OF_REQUEST = 8;

/** Texts that were asked for together: they end together when one fails or the client leaves. */
export interface TextRequest {
  readonly members: Set<Member>;
  /** Of embeddings none comes but the end. */
  readonly events: EventQueue<GenerationEvent>;
  /** Has the scheduler get the next of its texts, where they are not given to it all at once. */
  readonly submitNext: () => void;
  /** One of its texts is over. */
  hasFinished: boolean;
  /** Lets go of the client's signal and of the timer. */
  readonly dispose: () => void;
}

/** A text that is made. */
export interface AnswerMember {
  readonly request: TextRequest;
  readonly job: Job;
  readonly choice: number;
  readonly answer: Answer;
}

/** A text that is there, of which the embedding is made. */
export interface EmbeddingMember {
  readonly request: TextRequest;
  readonly job: Job;
  readonly text: EmbeddingText;
}

export type Member = AnswerMember | EmbeddingMember;

/** Whom to tell of what happens to requests. */
export interface RequestListeners {
  /** A text has left the scheduler. */
  readonly onForget: (job: Job) => void;
  /** A request is over. @param givenUp its texts that were not */
  readonly onEnd: (givenUp: number) => void;
  /** Work that rested may go on. */
  readonly onResume: () => void;
}

/** The requests that are not over, and their texts, which the scheduler holds as jobs. */
export class TextRequests {
  readonly #scheduler: Scheduler;
  readonly #queueLimit: number;
  readonly #listeners: RequestListeners;
  readonly #requests = new Set<TextRequest>();
  readonly #members = new Map<Job, Member>();
  #stopped = false;

  /** @param queueLimit most requests that may wait */
  constructor(scheduler: Scheduler, listeners: RequestListeners, queueLimit = DEFAULT_QUEUE_LIMIT) {
    this.#scheduler = scheduler;
    this.#queueLimit = queueLimit;
    this.#listeners = listeners;
  }

  /** Requests of which nothing has been computed yet, and the others. */
  get load(): { readonly waiting: number; readonly running: number } {
    let waiting = 0;
    for (const request of this.#requests) if (isWaiting(request)) waiting++;
    return { waiting, running: this.#requests.size - waiting };
  }

  /** Whose job it is; undefined once the text has ended or was given up. */
  memberOf(job: Job): Member | undefined {
    return this.#members.get(job);
  }

  /**
   * Refuses a request that cannot be taken now. A user of whom nobody waits gets in beyond the limit, up to twice as
   * many: one user must not keep out the others.
   * @param texts that it gives to the scheduler at once
   * @throws StarlingError queue_full; cancelled when `signal` has aborted, or after `stop`
   */
  check(user: string, texts: number, signal: AbortSignal | undefined): void {
    if (this.#stopped) throw new StarlingError('cancelled', 'the server is stopping; ask again when it is back');
    if (signal?.aborted) throw cancelledBy(signal);
    const { waiting } = this.load;
    const jobs = this.#scheduler.waiting;
    const own = [...jobs].some((job) => job.user === user);
    const limit = own ? this.#queueLimit : 2 * this.#queueLimit;
    if (waiting < limit && (jobs.size === 0 || jobs.size + texts <= TEXTS_OF_REQUEST * limit)) return;
    throw new StarlingError(
      'queue_full',
      `${waiting} requests for ${jobs.size} texts are waiting already, which is the limit; try again later`,
      { retryAfterMs: this.#scheduler.backlogMs() },
    );
  }

  /**
   * A request without texts yet. It ends by itself when the signal aborts, when its time is over or when nobody takes
   * its events.
   */
  open({ timeoutMs }: Standing, signal: AbortSignal | undefined, submitNext = (): void => {}): TextRequest {
    const onAbort = (): void => this.end(request, cancelledBy(signal));
    const onTimeout = (): void => {
      const message = `the request was not finished within ${timeoutMs} ms; allow more time, or ask for fewer tokens`;
      this.end(request, new StarlingError('deadline_exceeded', message, { param: 'timeout' }));
    };
    const timer = timeoutMs === null ? undefined : setTimeout(onTimeout, timeoutMs);
    const request: TextRequest = {
      members: new Set(),
      submitNext,
      hasFinished: false,
      events: new EventQueue(
        () => this.pause(request, false),
        () => this.end(request, null),
      ),
      dispose: () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      },
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#requests.add(request);
    return request;
  }

  /** Gives a text to the scheduler. */
  enter(member: Member): void {
    member.request.members.add(member);
    this.#members.set(member.job, member);
    this.#scheduler.submit(member.job);
  }

  /** Has the texts of a request rest, or go on. */
  pause(request: TextRequest, paused: boolean): void {
    for (const { job } of request.members) this.#scheduler.pause(job, paused);
    if (!paused) this.#listeners.onResume();
  }

  /** A text is over. */
  finish(member: Member): void {
    member.request.hasFinished = true;
    this.#forget(member, true);
  }

  /** Ends a request of which no text is left. */
  endIfDone(request: TextRequest): void {
    if (request.members.size === 0) this.end(request, null);
  }

  /**
   * Ends a request. With an error, what it has left to do is given up; a cancelled one is told nothing more of what
   * came before.
   */
  end(request: TextRequest, error: StarlingError | null): void {
    if (!this.#requests.delete(request)) return;
    request.dispose();
    const givenUp = request.members.size;
    for (const member of request.members) this.#forget(member, false);
    request.events.end(error, error?.code === 'cancelled');
    this.#listeners.onEnd(givenUp);
  }

  /** Ends all requests. */
  endAll(error: StarlingError): void {
    for (const request of [...this.#requests]) this.end(request, error);
  }

  /** Refuses all who wait and all who come later. Abort the signals of those that run to end them. */
  stop(): void {
    this.#stopped = true;
    for (const request of [...this.#requests]) {
      if (!isWaiting(request)) continue;
      this.end(request, new StarlingError('cancelled', 'the server stopped before it was this request’s turn'));
    }
  }

  #forget(member: Member, finished: boolean): void {
    member.request.members.delete(member);
    this.#members.delete(member.job);
    this.#scheduler.remove(member.job, finished);
    this.#listeners.onForget(member.job);
  }
}

/** Nothing of it has been computed yet. */
const isWaiting = ({ hasFinished, members }: TextRequest): boolean =>
  !hasFinished && [...members].every(({ job }) => job.startedAt === null);
