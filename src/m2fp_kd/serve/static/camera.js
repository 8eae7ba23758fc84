/** Take a photo with the camera. */

import { el } from "./dom.js";

const WISH = { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1080 } };

/** Whether this page may ask for a camera. */
export async function hasCamera() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices.some((device) => device.kind === "videoinput");
}

/**
 * Show the camera's picture in `dialog` until the shutter is pressed or the dialog is closed.
 * @param {HTMLDialogElement} dialog contains an autoplaying video and buttons of the classes "shoot" and "cancel"
 * @returns {Promise<File|null>} the photo; null if the dialog was closed
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
