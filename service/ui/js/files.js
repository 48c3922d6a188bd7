// Pictures that are dropped on the window or pasted into it.

/**
 * @param {(file: File) => void} take
 * @param {(over: boolean) => void} hover told while files are held over the page
 */
export function listenForFiles(take, hover) {
  let depth = 0; // enter and leave come for every element on the way
  const over = (change) => hover((depth = Math.max(0, depth + change)) > 0);
  window.addEventListener("dragenter", (event) => hasFiles(event) && over(1));
  window.addEventListener("dragleave", (event) => hasFiles(event) && over(-1));
  window.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  window.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    over(-depth);
    const file = firstPicture(event.dataTransfer.files);
    if (file) take(file);
  });
  window.addEventListener("paste", (event) => {
    const file = firstPicture(event.clipboardData.files);
    if (!file) return;
    event.preventDefault();
    take(file);
  });
}

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

// A file of another kind is taken too: the service says what it would accept.
const firstPicture = (files) => [...files].find(({ type }) => type.startsWith("image/")) ?? files[0];
