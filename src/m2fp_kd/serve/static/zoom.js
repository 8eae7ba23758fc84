/** Zoom and pan the picture: buttons, the wheel with Ctrl or a trackpad's pinch, dragging, and arrow keys. */

const MOST = 8;
const STEP = 1.5;
const CLICK = 5; // pixels within which a press is no drag
const ARROWS = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };

export class Zoom {
  /**
   * @param {HTMLElement} frame is scaled and moved; positions are in shares of its size
   * @param {HTMLElement} buttons contains buttons with data-zoom "in", "out" and "reset"
   */
  constructor(frame, buttons) {
    Object.assign(this, { frame, buttons, drag: null, dragged: false });
    this.reset();
    frame.addEventListener("wheel", (event) => this.turn(event), { passive: false });
    frame.addEventListener("pointerdown", (event) => this.grab(event));
    addEventListener("pointermove", (event) => this.pull(event));
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => (this.drag = null));
    frame.addEventListener("click", (event) => this.dragged && event.stopPropagation(), true);
    buttons.addEventListener("click", ({ target }) => this.press(target.closest("button")?.dataset.zoom));
    buttons.addEventListener("keydown", (event) => this.steer(event));
  }

  /** Show the whole picture. */
  reset() {
    Object.assign(this, { scale: 1, x: 0, y: 0 });
    this.apply();
  }

  press(kind) {
    if (kind === "reset") this.reset();
    else if (kind) this.by(kind === "in" ? STEP : 1 / STEP, 0.5, 0.5);
  }

  /** Scale by a factor; the point at a position in shares of the unscaled frame stays where it is. */
  by(factor, x, y) {
    const scale = Math.min(MOST, Math.max(1, factor * this.scale));
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.apply();
  }

  move(x, y) {
    this.x += x;
    this.y += y;
    this.apply();
  }

  /** The scaled picture always covers the frame's place. */
  apply() {
    const within = (value) => Math.min(0, Math.max(1 - this.scale, value));
    [this.x, this.y] = [within(this.x), within(this.y)];
    this.frame.style.setProperty("--zoom", this.scale);
    this.frame.style.transform =
      this.scale === 1 ? "" : `translate(${100 * this.x}%, ${100 * this.y}%) scale(${this.scale})`;
    this.frame.classList.toggle("zoomed", this.scale > 1);
    for (const button of this.buttons.querySelectorAll("button"))
      button.ariaDisabled = `${button.dataset.zoom === "in" ? this.scale === MOST : this.scale === 1}`;
  }

  turn(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const { left, top, width, height } = this.frame.getBoundingClientRect();
    const [x, y] = [(event.clientX - left) / width, (event.clientY - top) / height];
    this.by(2 ** (-event.deltaY / 200), this.x + this.scale * x, this.y + this.scale * y);
  }

  grab({ clientX, clientY, target }) {
    this.dragged = false;
    if (this.scale > 1 && target.type !== "range") this.drag = { x: clientX, y: clientY, from: [this.x, this.y] };
  }

  pull({ clientX, clientY }) {
    if (!this.drag) return;
    const { offsetWidth, offsetHeight } = this.frame;
    const [across, down] = [clientX - this.drag.x, clientY - this.drag.y];
    this.dragged ||= Math.hypot(across, down) > CLICK;
    [this.x, this.y] = this.drag.from;
    this.move(across / offsetWidth, down / offsetHeight);
  }

  steer(event) {
    const way = ARROWS[event.key];
    if (!way || this.scale === 1) return;
    event.preventDefault();
    this.move(...way);
  }
}
