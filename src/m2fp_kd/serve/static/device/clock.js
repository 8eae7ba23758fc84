/** Milliseconds by step. */
export class Clock {
  constructor() {
    this.steps = {};
    this.last = performance.now();
  }

  /** End a step. */
  lap(step) {
    const now = performance.now();
    this.steps[step] = now - this.last;
    this.last = now;
  }

  /** The steps and their total. */
  get timings() {
    const total = Object.values(this.steps).reduce((sum, value) => sum + value, 0);
    return { ...this.steps, total };
  }
}
