// What a class needs: hands and turns, questions to the operators, polls. Above the log of the room, while it is wanted.
import { html, useEffect, useState } from "./vendor/htm-preact.js";
import { ofClass, survey } from "./classroom.js";
import { run } from "./dialogue.js";
import { NewPoll, Poll } from "./polls.js";

export function Kit({ chat, room }) {
  const [told, tell] = useState(""), [form, open] = useState("");
  const rules = chat.acts.rules(ofClass(room), "set modes"), may = (action) => rules || room.may.includes(action);
  useEffect(() => survey(chat, room), [room.name, room.joined]);
  const act = async (line) => {
    const { failed, lines } = await run(chat, room, line);
    tell(failed ?? (line.startsWith("/hand") ? "" : lines.join(" "))); // where the hand is stands below
    survey(chat, room);
    chat.rights(room);
    return !failed;
  };
  const toggle = (name) => open(form === name ? "" : name);
  const switched = (name, words, on, off) => html`<button aria-pressed=${Boolean(room.settings[name])}
    onClick=${() => act(room.settings[name] ? off : on)}>${words}</button>`;
  const place = room.hands.indexOf(chat.nick), up = place >= 0;
  const button = (name, words) => html`<button aria-expanded=${form === name} onClick=${() => toggle(name)}>${words}</button>`;
  const done = () => { open(""); survey(chat, room); };
  return html`<section class="kit" aria-label="Class">
    <p class="row">${!rules && may("raise hand") && html`<button aria-pressed=${up} onClick=${() => act(up ? "/hand down" : "/hand")}>${up ? "Lower your hand" : "Raise your hand"}</button>`}
      ${rules && html`<button class="do" disabled=${!room.hands.length} onClick=${() => act("/next")}>${room.hands.length ? html`Let <bdi>${room.hands[0]}</bdi> speak` : "No hand is up"}</button>
        ${switched("moderated", "Speak only in turn", "/quiet on", "/quiet off")}${switched("locked", "Lock the room", "/lock", "/unlock")}`}
      ${!rules && may("ask operators") && button("ask", "Ask a question")}${may("poll") && button("poll", "Make a poll")}</p>
    <p role="status">${told}</p>
    ${form === "ask" && html`<${Ask} act=${act} done=${done} />`}
    ${form === "poll" && html`<${NewPoll} chat=${chat} room=${room} done=${done} />`}
    <${Hands} room=${room} rules=${rules} place=${place} act=${act} />
    ${room.questions.length > 0 && html`<h2>Questions</h2><ul>${room.questions.map((one) => html`<${Question} key=${one.number} one=${one} rules=${rules} act=${act} />`)}</ul>`}
    ${room.polls.map((id) => html`<${Poll} key=${id} chat=${chat} room=${room} poll=${room.ballots.get(id)} />`)}
  </section>`;
}

function Hands({ room, rules, place, act }) {
  if (!room.hands.length) return null;
  if (!rules) {
    const hands = room.hands.length, up = `${hands} ${hands === 1 ? "hand is" : "hands are"} up`;
    return html`<p>${place < 0 ? `${up}.` : place ? `Your hand is up; ${place} before you.` : "Your hand is up; you are next."}</p>`;
  }
  return html`<h2>Hands (${room.hands.length})</h2><ol>${room.hands.map((nick) => html`<li key=${nick}><bdi>${nick}</bdi>
    <button aria-label=${`Let speak: ${nick}`} onClick=${() => act(`/next ${nick}`)}>Let speak</button></li>`)}</ol>`;
}

function Question({ one: { number, nick, text }, rules, act }) {
  return html`<li><span><b><bdi>${nick}</bdi>:</b> <bdi>${text}</bdi></span>${rules ? html`<span class="row">
    <button aria-label=${`Let through: the question of ${nick}`} onClick=${() => act(`/ok ${number}`)}>Let through</button>
    <button aria-label=${`Drop: the question of ${nick}`} onClick=${() => act(`/no ${number}`)}>Drop</button></span>` : html`<i>only operators see it</i>`}</li>`;
}

function Ask({ act, done }) {
  const [text, type] = useState("");
  const send = async (event) => {
    event.preventDefault();
    if (text.trim() && (await act(`/ask ${text.trim().replace(/\s+/g, " ")}`))) done();
  };
  return html`<form onSubmit=${send}><label for="ask">A question that only the operators see</label>
    <p class="row"><input id="ask" dir="auto" value=${text} onInput=${(event) => type(event.target.value)} /><button class="do">Ask</button></p></form>`;
}
