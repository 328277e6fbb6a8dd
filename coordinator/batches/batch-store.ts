import { StarlingError } from '../../daemon/errors.ts';
import type { Logger } from '../../daemon/log.ts';
import { Turns } from '../../daemon/turns.ts';
import { type Batch, batchSchema, hasEnded, type RequestCounts } from './batch.ts';
import { byAge } from './ids.ts';
import { RecordFolder } from './record-folder.ts';

/** The batches of a folder. What is told of one is on the disk before it is believed. */
export class BatchStore {
  readonly #records: RecordFolder<Batch>;
  readonly #most: number;
  /** In order of creation. */
  readonly #batches = new Map<string, Batch>();
  readonly #turns = new Turns();

  /** @param most batches that are remembered */
  constructor(folder: string, most: number, log: Logger) {
    this.#records = new RecordFolder(folder, 'batch', batchSchema, log);
    this.#most = most;
  }

  /** @throws StarlingError store_failed */
  async start(): Promise<void> {
    const records = await this.#records.load();
    for (const batch of records.sort(byAge)) this.#batches.set(batch.id, batch);
  }

  /** All, in order of creation. */
  all(): Batch[] {
    return [...this.#batches.values()];
  }

  /** @throws StarlingError batch_not_found, also for the batch of another */
  get(id: string, owner: string | null): Batch {
    const batch = this.#batches.get(id);
    if (batch?.owner === owner) return batch!;
    throw new StarlingError('batch_not_found', `there is no batch '${id.slice(0, 64)}'; GET /v1/batches lists them`);
  }

  /**
   * Adds one; where there are too many, the oldest that has ended is forgotten. Its files stay.
   * @throws StarlingError queue_full, store_failed, disk_full
   */
  add(batch: Batch): Promise<void> {
    return this.#turns.take(async () => {
      if (this.#batches.size >= this.#most) {
        const oldest = this.all().find(hasEnded);
        if (oldest === undefined) {
          throw new StarlingError('queue_full', `${this.#batches.size} batches wait; cancel some, or wait for them`);
        }
        await this.#records.remove(oldest.id);
        this.#batches.delete(oldest.id);
      }
      await this.#records.write(batch);
      this.#batches.set(batch.id, batch);
    });
  }

  /**
   * Changes one, in turn with other changes.
   * @param change from what it is then to what it becomes
   * @throws StarlingError store_failed, disk_full
   */
  change(id: string, change: (batch: Batch) => Batch): Promise<Batch> {
    return this.#turns.take(async () => {
      const before = this.#batches.get(id)!;
      const after = change(before);
      if (after === before) return before;
      await this.#records.write(after);
      this.#batches.set(id, after);
      return after;
    });
  }

  /** How far one has come, which its results say too: it need not be on the disk. */
  count(id: string, counts: RequestCounts): void {
    this.#batches.set(id, { ...this.#batches.get(id)!, counts });
  }
}
