// What one can do with somebody: in place of typed commands.
import { Dialogue, run } from "./dialogue.js";
import { folded } from "./text.js";
import { html, useEffect, useState } from "./vendor/htm-preact.js";

// Only what the reader may do is offered. What keeps a person out is shown before it is done.
export function Person({ chat, room, nick, close }) {
  const [asked, ask] = useState(null), [told, tell] = useState(""), [ignores, setIgnores] = useState(null);
  const here = room.more > 0 || room.members.includes(nick), isOperator = room.operators.includes(nick);
  const may = (action) => room.may.includes(action);
  useEffect(() => {
    run(chat, room, "/ignore").then(({ failed, lines }) => {
      if (!failed) setIgnores((lines[0] ?? "").replace(/^You ignore /, "").split(", ").some((name) => folded(name) === folded(nick)));
    });
  }, []);
  const act = async (line) => {
    const { failed, lines } = await run(chat, room, line);
    if (failed) { ask(null); tell(failed); }
    else if (/^\/(ban|mute) \S+$/.test(line)) ask({ line, lines: lines.map((text) => text.replace(/ Type \/.*$/, "")) });
    else close();
    return !failed;
  };
  // What the server hides or shows from now on is fetched again.
  const ignore = async () => {
    if (!(await act(`/${ignores ? "un" : ""}ignore ${nick}`))) return;
    for (const one of [...chat.rooms.values(), ...chat.talks.values()]) if (one.stored) one.moveTo();
    chat.changed();
  };
  const button = (action, label, line) => may(action) && html`<button onClick=${() => act(line)}>${label}</button>`;
  const write = () => { close(); chat.writeTo(nick, room.users.get(nick)); };
  return html`<${Dialogue} title=${nick} close=${close}>
    ${asked ? html`<p role="alert" class="plain" dir="auto">${asked.lines[0]}</p>
      <div class="choices"><button class="do" onClick=${() => act(`${asked.line} yes`)}>Yes, do it</button><button onClick=${() => ask(null)}>No</button></div>`
    : html`<div class="choices">${!room.isPrivate && html`<button class="do" onClick=${write}>Write privately</button>`}
      ${here && button("set modes", isOperator ? "Take operator rights back" : "Make operator", `/${isOperator ? "deop" : "op"} ${nick}`)}
      ${here && room.settings.moderated && button("set modes", "Let speak", `/voice ${nick}`)}
      ${button("set modes", "Mute…", `/mute ${nick}`)}
      ${here && button("kick", "Remove from the room", `/kick ${nick}`)}
      ${button("set modes", "Ban…", `/ban ${nick}`)}
      ${ignores !== null && html`<button onClick=${ignore}>${ignores ? "Stop ignoring" : "Ignore"}</button>`}</div>`}
    <p role="status">${told}</p><//>`;
}
