// Parts of the dialogue about a room: its members, its transcript, and when the reader is notified.
import { html, useRef, useState } from "./vendor/htm-preact.js";

const SHOWN = 50; // names at once

// The members by name, beginning with what is typed.
export function Members({ chat, room }) {
  const field = useRef(null), [found, setFound] = useState(null);
  const list = async () => {
    const from = field.current.value.trim();
    const answer = await chat.ask({ type: "members", room: room.address, after: justBefore(from), limit: SHOWN });
    if (field.current?.value.trim() === from) setFound(answer);
  };
  const opened = (event) => { if (event.target.open) list(); };
  return html`<details onToggle=${opened}><summary>Members (${room.people.toLocaleString()})</summary>
    <p class="row"><label for="whom">Names from</label> <input id="whom" ref=${field} dir="auto" autocomplete="off" autocapitalize="off" spellcheck=${false} onInput=${list} /></p>
    <p role="status">${found?.failed}</p>
    <ul class="names">${found?.nicks?.map((nick) => html`<li key=${nick} dir="auto">${found.operators.includes(nick) ? "@" : ""}${nick}</li>`)}
      ${found?.more > 0 && html`<li key=" more" class="more">and ${found.more.toLocaleString()} more</li>`}</ul></details>`;
}

// The server lists the names that follow another one: this comes just before all that begin with a text.
function justBefore(text) {
  const last = text.charCodeAt(text.length - 1);
  return text && `${text.slice(0, -1)}${String.fromCharCode(last - 1)}\u{10ffff}`;
}

const FORMS = { html: "Page (HTML)", markdown: "Markdown", text: "Text" };
const ENDINGS = { html: "html", markdown: "md", text: "txt" };

// All messages of the room as a file.
export function Transcript({ chat, room }) {
  const form = useRef(null), [told, tell] = useState("");
  const save = async (event) => {
    event.preventDefault();
    const { value } = form.current;
    tell("Fetching the messages…");
    const { failed, file } = await chat.account.file("transcript", { resume: chat.resume, room: room.name, format: value });
    tell(failed ?? "The transcript is with your browser's downloads.");
    if (failed) return;
    const address = URL.createObjectURL(file);
    Object.assign(document.createElement("a"), { href: address, download: `${room.name}.${ENDINGS[value]}` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  };
  return html`<details><summary>Transcript</summary><form onSubmit=${save}><label for="form">All messages of the room as a file</label>
    <p class="row"><select id="form" ref=${form}>${Object.entries(FORMS).map(([value, label]) => html`<option value=${value}>${label}</option>`)}</select>
    <button>Download</button></p><p role="status">${told}</p></form></details>`;
}

const WHEN = { "": "Messages that are for me", all: "All messages", none: "No messages" };

// When this browser notifies the reader of what is said in the room.
export function Notify({ chat, room }) {
  const can = "Notification" in window && Notification.permission;
  const choose = ({ target: { value } }) => {
    const { [room.name]: before, ...others } = chat.view.notify ?? {};
    chat.like({ notify: value ? { ...others, [room.name]: value } : others });
  };
  const ask = () => Notification.requestPermission().then(() => chat.changed());
  return html`<details><summary>Notifications</summary><fieldset><legend>This browser notifies me of</legend>
    ${Object.entries(WHEN).map(([value, label]) => html`<label key=${value}><input type="radio" name="notify" value=${value}
      checked=${(chat.view.notify?.[room.name] ?? "") === value} onChange=${choose} /> ${label}</label>`)}</fieldset>
    ${can === "default" ? html`<p><button onClick=${ask}>Allow notifications</button></p>`
      : can !== "granted" && html`<p>${can ? "The settings of the browser forbid notifications of this page." : "This browser shows no notifications here."}</p>`}</details>`;
}
