/** The photo with the parts laid over it. */

import { drawn, packed } from "./part_map.js";

const VEIL = packed(8, 11, 17, 175);
const FAINTEST = 0.45;

export class Picture {
  /**
   * @param {HTMLElement} frame contains the canvases "photo" and "overlay", a "box", a "tip" and the "divider"
   * @param {(name: string|null) => string} describe called with the part under the pointer; returns the text of the tip
   * @param {(name: string|null, x: number, y: number) => void} press called with the part under a click and its
   *     position in shares of width and height
   */
  constructor(frame, describe, press) {
    this.frame = frame;
    this.describe = describe;
    this.layers = [];
    this.opacity = 0.6;
    this.divide = 0.5;
    this.part = null;
    for (const name of ["photo", "overlay", "box", "tip"]) this[name] = frame.querySelector(`.${name}`);
    frame.addEventListener("pointermove", (event) => this.point(event));
    frame.addEventListener("pointerdown", (event) => this.point(event));
    frame.addEventListener("click", (event) => {
      const [x, y] = this.positionOf(event);
      if (this.layers.length && event.target.type !== "range") press(this.partAt(x, y), x, y);
    });
    // A finger leaves the picture after every tap, so the tip of a tapped part stays.
    frame.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && this.leave());
  }

  /** Show another photo without parts; show nothing if the browser cannot decode it. */
  async load(blob) {
    this.blob = blob;
    this.setLayers([]);
    const image = await createImageBitmap(blob).catch(() => null);
    if (this.blob === blob) this.place(image);
    image?.close();
  }

  place(image) {
    this.frame.hidden = image === null;
    if (image === null) return;
    const canvas = drawn(image, true);
    const { width, height } = canvas;
    Object.assign(this.photo, { width, height });
    this.photo.getContext("2d").drawImage(canvas, 0, 0);
    this.frame.style.setProperty("--ratio", width / height);
  }

  /** Lay these part maps over the photo: none, one, or two with a divider between them. */
  setLayers(layers) {
    this.layers = layers;
    if (layers.length) {
      const { width, height } = layers[0];
      Object.assign(this.overlay, { width, height });
    }
    this.leave();
    this.draw();
  }

  setOpacity(opacity) {
    this.opacity = opacity;
    this.draw();
  }

  /** Move the divider; the first layer is on its left. */
  setDivide(divide) {
    this.divide = divide;
    this.draw();
  }

  /** Show the part of this name alone; null shows all parts. */
  setPart(name) {
    this.part = name;
    this.draw();
  }

  /** Draw a box (left, top, right, bottom) in pixels of a photo of `size` (height, width); null removes it. */
  setBox(box, size) {
    this.box.hidden = !box;
    if (!box) return;
    const [left, top, right, bottom] = box;
    const [height, width] = size;
    const shares = {
      left: left / width,
      top: top / height,
      width: (right - left) / width,
      height: (bottom - top) / height,
    };
    for (const [side, share] of Object.entries(shares)) this.box.style[side] = `${100 * share}%`;
  }

  draw() {
    const context = this.overlay.getContext("2d");
    const { width, height } = this.overlay;
    context.clearRect(0, 0, width, height);
    if (!this.layers.length) return;
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const edge = this.layers.length > 1 ? Math.round(this.divide * width) : width;
    this.layers.forEach((layer, side) => {
      const colours = this.coloursOf(layer.labels);
      const [from, to] = side ? [edge, width] : [0, edge];
      for (let row = 0; row < pixels.length; row += width)
        for (let i = row + from; i < row + to; i++) pixels[i] = colours[layer.indices[i]];
    });
    context.putImageData(image, 0, 0);
  }

  /** The colour that each part index is drawn in. */
  coloursOf({ parts, colours }) {
    const alone = this.part === null ? this.opacity : Math.max(FAINTEST, this.opacity);
    return Uint32Array.from(parts, (name, index) => {
      if (this.part !== null && name !== this.part) return VEIL;
      return index ? packed(...colours[index], Math.round(255 * alone)) : 0;
    });
  }

  point(event) {
    const [x, y] = this.positionOf(event);
    const name = this.partAt(x, y);
    this.tip.textContent = this.describe(name);
    this.tip.hidden = name === null;
    this.tip.style.left = `${100 * x}%`;
    this.tip.style.top = `${100 * y}%`;
    this.tip.classList.toggle("flipped", x > 0.6);
  }

  /** The pointer's position in shares of the picture's width and height, zoomed or not. */
  positionOf({ clientX, clientY }) {
    const { left, top, width, height } = this.frame.getBoundingClientRect();
    return [(clientX - left) / width, (clientY - top) / height];
  }

  /** The part at a position in shares of width and height; null on the background and without a part map. */
  partAt(x, y) {
    const layer = this.layers[this.layers.length > 1 && x >= this.divide ? 1 : 0];
    if (!layer || x < 0 || y < 0 || x >= 1 || y >= 1) return null;
    const index = layer.indices[Math.floor(y * layer.height) * layer.width + Math.floor(x * layer.width)];
    return index ? layer.labels.parts[index] : null;
  }

  leave() {
    this.tip.hidden = true;
    this.describe(null);
  }
}
