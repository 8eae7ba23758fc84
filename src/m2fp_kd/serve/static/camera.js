/** Take a photo with the camera. */

import { el } from "./dom.js";

const WISH = { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1080 } };

/** Whether there is a camera that this page may ask for. */
export async function hasCamera() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices.some((device) => device.kind === "videoinput");
}

/**
 * Show what the camera sees in `dialog` until the shutter is pressed or the dialog closed.
 * @param {HTMLDialogElement} dialog holds a video that plays by itself, and buttons of the classes "shoot" and "cancel"
 * @returns {Promise<File|null>} null if it was closed
 * @throws {DOMException} the camera cannot be used
 */
export async function takePhoto(dialog) {
  const video = dialog.querySelector("video");
  const choice = chosen(dialog);
  let stream = null;
  dialog.showModal();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: WISH });
    video.srcObject = stream;
    return (await choice) === "shoot" ? await still(video) : null;
  } finally {
    dialog.close();
    stream?.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  }
}

function chosen(dialog) {
  return new Promise((resolve) => {
    dialog.querySelector(".shoot").onclick = () => resolve("shoot");
    dialog.querySelector(".cancel").onclick = () => dialog.close();
    dialog.onclose = () => resolve("cancel");
  });
}

async function still(video) {
  if (!video.videoWidth) await new Promise((resolve) => (video.onloadeddata = resolve));
  const canvas = el("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
  return new File([blob], "camera.jpg", { type: "image/jpeg" });
}
