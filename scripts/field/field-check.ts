/**
 * One kind of trouble that people meet with systems like this one, tried on ours with real processes: a check of
 * `npm run check:field`. Here live those that take too long for the suite, or need network namespaces or control
 * groups.
 */
export interface FieldCheck {
  /** Letter and number, such as C3; the order of the report. */
  readonly row: string;
  readonly title: string;
  /** What the machine must allow beyond plain processes; empty for nothing. */
  readonly needs: readonly FieldNeed[];
  /**
   * Tries it.
   * @returns what was seen, in a line, for the report
   * @throws when the trouble is met
   */
  run(): Promise<string>;
}

export type FieldNeed = 'network namespaces' | 'control groups' | 'process namespaces';
