// The menu on a message.
import { html, useLayoutEffect, useRef, useState } from "./vendor/htm-preact.js";
import { named } from "./text.js";

const EMOJI = { "👍": "Thumbs up", "❤️": "Heart", "😂": "Laughing", "🎉": "Party", "👀": "Eyes", "✅": "Done" };
const GAP = 4; // pixels around the menu
const REACTION = 32; // characters of a reaction that is typed

// Arrows go from a button to the next.
function step(event) {
  event.stopPropagation(); // the page's own keys do nothing meanwhile
  const writes = event.target.matches("input"), by = { ArrowUp: -1, ArrowDown: 1, ...(!writes && { ArrowLeft: -1, ArrowRight: 1 }) }[event.key];
  if (!by) return;
  event.preventDefault();
  const all = [...event.currentTarget.querySelectorAll("button, input")];
  all[(all.indexOf(event.target) + by + all.length) % all.length].focus();
}

export function Menu({ chat, room, entry, at, close, about }) {
  const node = useRef(null), field = useRef(null), pressed = useRef(false);
  const [sure, ask] = useState(Boolean(at.sure));
  const { acts } = chat, may = acts.on(room, entry), reactions = Object.entries(entry.reactions ?? {});
  useLayoutEffect(() => { // below or above what was pressed, but within the window
    node.current.showModal();
    node.current.querySelector(":scope > button")?.focus();
    const { offsetWidth: width, offsetHeight: height, style } = node.current;
    const below = at.bottom + GAP, above = at.top - GAP - height, last = innerHeight - GAP - height;
    style.setProperty("--x", `${Math.max(GAP, Math.min(at.x, innerWidth - GAP) - width)}px`);
    style.setProperty("--y", `${Math.max(GAP, below <= last ? below : above >= GAP ? above : last)}px`);
  }, []);
  useLayoutEffect(() => { if (sure) node.current.querySelector(".do").focus(); }, [sure]);
  // The buttons of a row are hidden again, and cannot have the focus back.
  const back = () => {
    const { activeElement: active } = document;
    if (at.row.isConnected && (active === document.body || node.current?.contains(active))) at.row.focus();
  };
  const act = (does) => () => {
    node.current.close();
    back();
    does();
  };
  const copy = (text) => async () => {
    const done = await toClipboard(text);
    act(() => (done ? chat.changed("Copied") : chat.trouble("This browser does not let the page copy.")))();
  };
  const button = (allowed, name, does) => allowed && html`<button onClick=${does}>${name}</button>`;
  const react = (reaction) => act(() => acts.react(room, entry, reaction));
  const add = (event) => {
    event.preventDefault();
    const reaction = field.current.value.trim();
    if (reaction) react(reaction)();
  };
  const own = (reaction) => reactions.some(([one, nicks]) => one === reaction && nicks.includes(chat.nick));
  const outside = (event) => event.target === node.current;
  return html`<dialog ref=${node} class="acts" aria-label=${`Message of ${entry.nick}`} onClose=${() => { back(); close(); }} onKeyDown=${step}
    onContextMenu=${(event) => { if (!event.target.matches("input")) event.preventDefault(); }}
    onPointerDown=${(event) => { pressed.current = outside(event); }} onClick=${(event) => { if (pressed.current && outside(event)) node.current.close(); }}>
    ${sure ? html`<p>Delete this message for everybody?</p>
      <button class="do" onClick=${act(() => acts.remove(room, entry))}>Delete for everybody</button>
      <button onClick=${() => node.current.close()}>Keep it</button>`
    : html`${may.react && html`<div class="emoji">${Object.entries(EMOJI).map(([sign, name]) => html`<button key=${sign} aria-label=${name} title=${name}
        aria-pressed=${own(sign)} onClick=${react(sign)}>${sign}</button>`)}</div>
      <form onSubmit=${add}><label class="hidden" for="reaction">Another reaction</label>
        <input id="reaction" ref=${field} maxlength=${REACTION} placeholder="Another reaction" autocomplete="off" /><button>Add</button></form>`}
      ${button(may.reply, "Reply", act(() => acts.begin(room, entry, false)))}
      ${button(may.correct, "Correct", act(() => acts.begin(room, entry, true)))}
      ${button(may.copy, "Copy text", copy(entry.text))}
      ${button(may.link, "Copy link", copy(acts.linkTo(room, entry)))}
      ${button(may.pin, "Pin", act(() => acts.pin(room, entry.id, true)))}
      ${button(may.unpin, "Unpin", act(() => acts.pin(room, entry.id, false)))}
      ${button(entry.nick !== chat.nick, html`About <bdi>${entry.nick}</bdi>…`, act(() => about(entry.nick)))}
      ${button(may.remove, "Delete…", () => ask(true))}
      ${reactions.length > 0 && html`<ul>${reactions.map(([reaction, nicks]) => html`<li key=${`r${reaction}`}><bdi>${reaction}</bdi> ${named(nicks)}</li>`)}</ul>`}`}
  </dialog>`;
}

// Put a text on the clipboard; return whether that worked. Over plain http, a browser has only the old way.
export async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { /* the old way */ }
  const at = document.activeElement, field = document.createElement("textarea");
  field.value = text;
  (document.querySelector("dialog[open]") ?? document.body).append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  at?.focus();
  return done;
}
