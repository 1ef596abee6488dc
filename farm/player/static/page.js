"use strict";
const LOOK_MS = 1000;
const element = id => document.getElementById(id);
const video = element("video");

function tell(trouble) {
  element("trouble").textContent = trouble;
  element("trouble").hidden = !trouble;
}

function play() {
  if (!Hls.isSupported()) {  // Safari on a phone plays playlists by itself
    video.src = "video.m3u8";
    return;
  }
  // The server answers when there is something new: no time limit on its answers.
  const patient = { default: { maxTimeToFirstByteMs: Infinity, maxLoadTimeMs: 3600000,
    timeoutRetry: { maxNumRetry: 1000, retryDelayMs: 500, maxRetryDelayMs: 5000 },
    errorRetry: { maxNumRetry: 1000, retryDelayMs: 500, maxRetryDelayMs: 5000 } } };
  const hls = new Hls({ startPosition: 0, enableWorker: false, maxBufferLength: 120, backBufferLength: 600,
    manifestLoadPolicy: patient, playlistLoadPolicy: patient });
  hls.on(Hls.Events.ERROR, (_event, error) => {
    if (!error.fatal) return;
    if (error.type === Hls.ErrorTypes.MEDIA_ERROR && !/codec/i.test(error.details)) {
      hls.recoverMediaError();
    } else if (error.type === Hls.ErrorTypes.MEDIA_ERROR) {
      tell("This browser does not play the video's codec. Other players do: see below.");
    } else {
      tell("The video can't be loaded (" + error.details + "). Reload the page, or start helios-job watch again.");
    }
  });
  hls.loadSource("video.m3u8");
  hls.attachMedia(video);
}

function draw(state) {
  const canvas = element("strip"), pen = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
  const paint = (name, begin, end) => {
    pen.fillStyle = style.getPropertyValue("--" + name);
    const left = Math.floor(begin * canvas.width / state.total);
    pen.fillRect(left, 0, Math.max(Math.ceil(end * canvas.width / state.total) - left, 1), canvas.height);
  };
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (!state.total) return;
  paint("waiting", 0, state.total);
  state.done.forEach(([begin, end]) => paint("done", begin, end));
  state.rendering.forEach(chunk => paint("rendering", chunk.first, chunk.end));
  if (state.playable.frames) paint("playable", 0, state.playable.frames);
  canvas.setAttribute("aria-label", state.playable.frames + " of " + state.total + " frames can be played");
}

function show(state) {
  document.title = state.name;
  element("name").textContent = state.name;
  const away = state.isAway ? ["Prefect's server does not answer; this is from before"] : [];
  const words = state.isOver ? [state.state, state.message.split("\n")[0]] : [state.words || state.state];
  element("words").textContent = words.concat(state.isOver && state.cost ? [state.cost] : [], away)
    .filter(Boolean).join(": ");
  element("playlist").textContent = state.playlist || "";
  const rows = state.rendering.slice(0, 12).map(chunk => {
    const row = document.createElement("tr");
    ["chunk " + chunk.chunk, "frames " + chunk.first + " to " + (chunk.end - 1), chunk.state,
      chunk.seconds && chunk.seconds + " s", chunk.adapter].forEach(text => {
      row.insertCell().textContent = text;
    });
    return row;
  });
  element("rendering").replaceChildren(...rows);
  const picture = element("picture");
  if (state.picture && picture.dataset.size !== String(state.picture)) {
    picture.dataset.size = state.picture;
    picture.src = "picture.jpg?" + state.picture;
    picture.parentElement.hidden = false;
  }
  draw(state);
}

async function look() {
  try {
    const answer = await fetch("state.json");
    if (answer.ok) show(await answer.json());
  } catch {
    element("words").textContent = "helios-job watch has ended";
  }
  setTimeout(look, LOOK_MS);
}

play();
look();
