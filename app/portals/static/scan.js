// Reads a code with the phone's camera where the browser can, and makes a photo small before it is sent. Everything works without this file.
"use strict";

const form = document.getElementById("scan");
const content = form.elements.content;
const picture = form.elements.picture;
const button = document.getElementById("open-camera");
const camera = form.querySelector(".camera");
const SIDE = 1600;

async function scan() {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  const video = camera.querySelector("video");
  const detector = new BarcodeDetector({ formats: ["qr_code"] });
  video.srcObject = stream;
  camera.hidden = false;
  button.hidden = true;
  await video.play();
  const look = async () => {
    const [found] = await detector.detect(video).catch(() => []);
    if (!found) {
      requestAnimationFrame(look);
      return;
    }
    stream.getTracks().forEach((track) => track.stop());
    content.value = found.rawValue;
    form.requestSubmit();
  };
  look();
}

async function shrink() {
  const [file] = picture.files;
  if (!file || !window.createImageBitmap) return;
  const bitmap = await createImageBitmap(file);
  const scale = SIDE / Math.max(bitmap.width, bitmap.height);
  if (scale >= 1) return;
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width * scale;
  canvas.height = bitmap.height * scale;
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.85));
  const files = new DataTransfer();
  files.items.add(new File([blob], "picture.jpg", { type: "image/jpeg" }));
  picture.files = files.files;
}

picture.addEventListener("change", () => { shrink().catch(() => {}); });
if ("BarcodeDetector" in window && navigator.mediaDevices) {
  button.hidden = false;
  button.addEventListener("click", () => scan().catch(() => { button.hidden = true; camera.hidden = true; }));
}
