/** Files are allocated, and left unwritten, in whole pages; those of no usual file system are smaller. */
export const PAGE_BYTES = 4096;

/** Zero bytes from `start` up to `end` of a file. */
export interface ZeroRun {
  readonly start: number;
  readonly end: number;
}

const ZEROS = Buffer.alloc(PAGE_BYTES);

/** Finds runs of zero bytes that fill at least one page of a file that is handed in piece by piece. */
export class ZeroRuns {
  readonly #runs: ZeroRun[] = [];
  #position = 0;
  /** Where the zeros began that reach up to the position; the position itself when the last byte was none. */
  #start = 0;

  /** @param piece follows the last one; a multiple of PAGE_BYTES long, but for the last of the file */
  push(piece: Buffer): void {
    for (let at = 0; at < piece.length; at += PAGE_BYTES) {
      const page = piece.subarray(at, at + PAGE_BYTES);
      // The first byte alone settles most pages.
      if (page[0] !== 0 || page.compare(ZEROS, 0, page.length) !== 0) this.#endRun(page);
      this.#position += page.length;
    }
  }

  /** All of them, in order, at the end of the file. */
  finish(): readonly ZeroRun[] {
    this.#keep(this.#position);
    return this.#runs;
  }

  #endRun(page: Buffer): void {
    const first = page.findIndex((byte) => byte !== 0);
    this.#keep(this.#position + first);
    const last = page.findLastIndex((byte) => byte !== 0);
    this.#start = this.#position + last + 1;
  }

  #keep(end: number): void {
    if (holdsPage(this.#start, end)) this.#runs.push({ start: this.#start, end });
  }
}

function holdsPage(start: number, end: number): boolean {
  return Math.ceil(start / PAGE_BYTES) * PAGE_BYTES + PAGE_BYTES <= end;
}
