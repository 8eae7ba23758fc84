/** Take a photo with the camera. */

import { el } from "./dom.js";

const WISH = { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1080 } };

/** Whether this page may ask for a camera. */
export async function hasCamera() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices.some((device) => device.kind === "videoinput");
}

/** Number of the newest call of `takePhoto`: a browser may give the camera long after the dialog was closed. */
let newest = 0;

/**
 * Show the camera's picture in `dialog` until the shutter is pressed or the dialog is closed.
 * @param {HTMLDialogElement} dialog contains an autoplaying video and buttons of the classes "shoot" and "cancel"
 * @returns {Promise<File|null>} the photo; null if the dialog was closed
 * @throws {DOMException} the camera cannot be used
 */
export async function takePhoto(dialog) {
  const video = dialog.querySelector("video");
  const call = ++newest;
  const ended = new AbortController();
  const choice = chosen(dialog, ended.signal);
  let stream = null;
  dialog.showModal();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: WISH });
    if (call === newest) video.srcObject = stream;
    return (await choice) === "shoot" ? await still(video) : null;
  } finally {
    ended.abort();
    stream?.getTracks().forEach((track) => track.stop());
    if (call === newest) {
      dialog.close();
      video.srcObject = null;
    }
  }
}

function chosen(dialog, signal) {
  return new Promise((resolve) => {
    const on = (target, event, act) => target.addEventListener(event, act, { signal });
    on(dialog.querySelector(".shoot"), "click", () => resolve("shoot"));
    on(dialog, "cancel", () => resolve("cancel")); // the Escape key
    on(dialog.querySelector(".cancel"), "click", () => {
      resolve("cancel");
      dialog.close();
    });
  });
}

async function still(video) {
  if (!video.videoWidth) await new Promise((resolve) => (video.onloadeddata = resolve));
  const canvas = el("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  return new File([blob], "camera.jpg", { type: "image/jpeg" });
}
