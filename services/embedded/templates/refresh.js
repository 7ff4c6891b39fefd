// Loads the list again as soon as a newer mail is there.
const newest = document.body.dataset.newest;
setInterval(async () => {
  if (document.hidden) return;
  try {
    const { messages } = await (await fetch("/api/messages")).json();
    if ((messages[0]?.id ?? "") !== newest) location.reload();
  } catch { /* the stack has stopped or starts again; the next round tells */ }
}, 1500);
