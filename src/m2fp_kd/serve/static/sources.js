/** Where photos are parsed: by the server, or on this device. Both modules have the same two functions. */

import * as device from "./device.js";
import * as server from "./server.js";
import { state } from "./state.js";

const SOURCES = { device, server };

/** The sources that this page offers, the preferred one first. */
export const offered = () => document.body.dataset.sources.split(" ");

/** The module that answers. */
export const source = () => SOURCES[state.where];
