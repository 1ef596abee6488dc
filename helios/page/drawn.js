// Evaluated in the page: brings it to a frame, and waits until it can be seen.
async ({ frame, seconds }) => {
  for (const animation of document.getAnimations()) {
    animation.pause();
    animation.currentTime = seconds * 1000;
  }
  for (const drawing of document.querySelectorAll("svg")) {
    drawing.pauseAnimations();
    drawing.setCurrentTime(seconds);
  }
  const scene = await window.heliosScene;
  if (scene.draw !== undefined) await scene.draw(frame, seconds);
  document.documentElement.getBoundingClientRect(); // asks for what the new styles show
  await document.fonts.ready;
  await Promise.all(
    [...document.images].filter((image) => image.currentSrc || image.getAttribute("src")).map((image) =>
      image.decode().catch(() => {
        throw new Error(`the image ${image.currentSrc || image.src} can't be decoded`);
      }),
    ),
  );
};
