// A poll: its answers with bars, each of them a button as long as the poll is open.
import { html, useState } from "./vendor/htm-preact.js";
import { count, ofClass } from "./classroom.js";
import { Face } from "./display.js";
import { hue, timeOf, whenOf } from "./text.js";

const votes = (number) => `${number.toLocaleString()} ${number === 1 ? "vote" : "votes"}`;

export function Poll({ chat, room, poll, old }) {
  const [failed, fail] = useState("");
  const { id, question, answers, guests = 0, closed } = poll, mine = poll.mine ?? ofClass(room).ballots.get(id)?.mine ?? 0;
  const total = poll.votes.reduce((sum, number) => sum + number, 0), open = !closed && !old;
  const send = async (message) => {
    const answer = await chat.ask({ room: room.name, id, ...message });
    fail(answer.failed ?? "");
    if (!answer.failed && "choice" in message) count(chat, room, id, { mine: message.choice });
  };
  const vote = (number) => send({ type: "vote", choice: number === mine ? 0 : number });
  const own = chat.acts.isOwn(room, poll) || chat.acts.rules(room, "set modes");
  const row = (answer, index) => html`<span class="bar" aria-hidden="true" style=${{ width: `${total ? (100 * poll.votes[index]) / total : 0}%` }}></span>
    <bdi>${answer}</bdi> <i>${votes(poll.votes[index])}</i>`;
  return html`<div class="poll" role="group" aria-label=${`Poll: ${question}`}><p dir="auto">${question}</p>
    <ol>${answers.map((answer, index) => html`<li key=${index}>${open
      ? html`<button aria-pressed=${mine === index + 1} onClick=${() => vote(index + 1)}>${row(answer, index)}</button>`
      : html`<div class=${mine === index + 1 ? "mine" : ""}>${row(answer, index)}</div>`}</li>`)}</ol>
    <p class="total">${votes(total)}${guests ? `, ${guests.toLocaleString()} by guests who can vote again under another name` : ""}${closed ? ". The poll has ended." : open && mine ? ". You can change your vote." : ""}
      ${open && own && html` <button onClick=${() => send({ type: "close" })}>End the poll</button>`}</p>
    <p role="alert">${failed}</p></div>`;
}

// The row of the log in which somebody asks.
export function Asked({ chat, entry, old }) {
  const { nick, time, seq } = entry, { room } = chat;
  return html`<li class="said" data-seq=${old ? undefined : seq} tabindex="-1"><${Face} nick=${nick} />
    <time datetime=${new Date(time * 1000).toISOString()} title=${whenOf(time)}>${timeOf(time)}</time>
    <div><b class=${hue(nick)} data-name=${nick}><bdi>${nick}</bdi></b> asks <${Poll} chat=${chat} room=${room} poll=${entry} old=${old} /></div></li>`;
}

const MOST = 10; // answers

// A form for a new poll.
export function NewPoll({ chat, room, done }) {
  const [answers, setAnswers] = useState(["", ""]), [question, ask] = useState(""), [failed, fail] = useState("");
  const change = (index, text) => setAnswers(answers.map((answer, at) => (at === index ? text : answer)));
  const send = async (event) => {
    event.preventDefault();
    const answer = await chat.ask({ type: "poll", room: room.name, question, answers: answers.filter((text) => text.trim()) });
    fail(answer.failed ?? "");
    if (!answer.failed) done();
  };
  return html`<form onSubmit=${send}><label for="question">Question</label>
    <input id="question" dir="auto" value=${question} onInput=${(event) => ask(event.target.value)} />
    ${answers.map((answer, index) => html`<label key=${`l${index}`} for=${`answer-${index}`}>Answer ${index + 1}</label>
      <input key=${index} id=${`answer-${index}`} dir="auto" value=${answer} onInput=${(event) => change(index, event.target.value)} />`)}
    <p role="alert">${failed}</p>
    <p class="row">${answers.length < MOST && html`<button type="button" onClick=${() => setAnswers([...answers, ""])}>One more answer</button>`}
      <button class="do">Ask the room</button></p></form>`;
}
