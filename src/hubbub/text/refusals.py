"""All refusals: for each one its code, for programs, and its sentence, for people. No other module words a refusal.

Several refusals may share a code: the code tells a program what to do, the sentence tells a person the details. Each
wire maps the codes to its own numbers: wire/irc/numerics.py and wire/web/statuses.py. docs/protocol.md lists them.
"""

from __future__ import annotations

from msgspec import Struct

from hubbub.errors import Refused


class Wording(Struct, frozen=True):
    """The code of a refusal, and its sentence with the names of its fields in braces."""

    code: str
    sentence: str

    def __call__(self, /, offer: str = "", **fields: object) -> Refused:
        """Return the refusal.

        Args:
            offer: an alternative that could be requested instead; "" if none is known.
            fields: the values of the fields of the sentence; each of them is needed.

        """
        return Refused(self.code, self.sentence.format(**fields), offer)


def told(code: str, text: str, offer: str = "") -> Refused:
    """Return the refusal that an event has told to a session."""
    return Refused(code, text, offer)


# --- names ------------------------------------------------------------------------------------------------------------

_CHARACTERS = "Use letters, digits and - _ . (up to {limit}), like {like}."
NAME_INVALID = Wording("name-invalid", "Names {fault}. " + _CHARACTERS)
NAME_TOO_LONG = Wording("name-invalid", "Names have at most {limit} characters.")
NAME_RESERVED = Wording("name-invalid", "The name {name} is reserved. Use another, like {like}.")
NAME_LOOKS_RESERVED = Wording(
    "name-invalid", "The name {name} looks like {word}, which is reserved. Use another, like {like}."
)
NAME_GREETS = Wording("name-invalid", "The name {name} is a greeting of SSH. Use another, like {like}.")
NAME_TAKEN = Wording("name-taken", "The name {name} is taken.")
NAME_LOOKS_TAKEN = Wording("name-taken", "The name {name} looks like {other}, who is here. Use another.")
NAME_KEPT = Wording("name-kept", "Your name stays as it is while you may not speak in {room}.")
TOO_LONG = Wording("too-long", "A name has at most {limit} characters.")
ROOM_INVALID = Wording("room-invalid", "Room names {fault}. " + _CHARACTERS)
ROOM_LOOKS_TAKEN = Wording("room-invalid", "The name {name} looks like {other}. Use another, like {like}.")
ROOM_HAS_SPACES = Wording("room-invalid", "Room names can't contain spaces. Perhaps you mean {room}.")
CHANNEL_INVALID = Wording("room-invalid", "Channel names begin with #.")
CHANNEL_MISSING = Wording("room-invalid", "There is no such channel.")

# The faults of a name, for NAME_INVALID and ROOM_INVALID.
EMPTY = "can't be empty"
MANY_CHARACTERS = "have at most {limit} characters"
MANY_MARKS = "have at most {limit} marks in a row"
FIRST_MARK = "can't begin with a mark"
NO_LETTER = "need a letter or a digit"
SPACES = "can't contain spaces"
CHARACTER = "can't contain {char}"
INVISIBLE = "can't contain invisible characters"
MIXED = "can't mix {one} and {other} letters"

# --- rooms: seeing, joining, speaking ---------------------------------------------------------------------------------

HIDDEN = Wording("hidden", "There is no room {room}.")
CLOSED = Wording("closed", "Only members of {room} can read it.")
BANNED = Wording("banned", "You are banned from {room}.")
INVITE_ONLY = Wording("invite-only", "{room} is invite-only. Ask an operator to invite you.")
ACCOUNTS_ONLY = Wording("account-required", "Only people with an account can join {room}; log in first.")
KEY_WRONG = Wording("bad-key", "That is not the key of {room}.")
KEY_MISSING = Wording("bad-key", "{room} needs its key: /join {room} KEY")
ROOM_FULL = Wording("room-full", "{room} is full.")
TOO_MANY_ROOMS = Wording("too-many-rooms", "You are in {limit} rooms; /leave one first.")
TOO_MANY_NEW_ROOMS = Wording(
    "too-many-new-rooms", "Too many rooms were opened from your address. Try again in {seconds:.0f} s."
)
ROOM_ON_ITS_WAY = Wording("name-in-use", "Another room is just being renamed to {room}; try again.")
NOT_IN_ROOM = Wording("not-in-room", "You are not in {room}. Type /join {room} first.")
NOT_IN_ANY_ROOM = Wording("not-in-room", "You are not in a room. Type /join and a room's name first.")
NOT_A_ROOM = Wording("not-a-room", "This is not a room. Go to the room that you mean, and do it there.")
OUTSIDER = Wording("not-allowed", "Not sent: only people in {room} can post there.")
MEMBERS_ONLY = Wording("not-allowed", "Only people in {room} can post there (/set members-only off lets scripts post).")
NO_CLIENT_COMMANDS = Wording("not-allowed", "Client commands are not allowed here.")
MODERATED = Wording(
    "moderated",
    "Not sent: only people chosen by the room's operators can speak in {room} right now. Type /hand to ask for a turn.",
)
ROOM_LOCKED = Wording("locked", "Not sent: only operators of {room} can speak there right now.")
RESTING = Wording("moderated", "Not sent: there were too many messages in {room} at once; wait {wait:.0f} s.")
HANDS_FULL = Wording("list-full", "There are {limit} raised hands already; try again later.")
QUESTIONS_FULL = Wording(
    "list-full", "There are {limit} open questions already; wait until an operator has let one through."
)
NO_SUCH_QUESTION = Wording("no-such-message", "There is no such question here; /asked lists them.")
POLL_INVALID = Wording("bad-value", "Type a question and 2 to {limit} different answers, as in: /poll tea? | yes | no.")
POLL_TOO_LONG = Wording("text-too-long", "Not sent: a poll has at most {limit} bytes.")
POLLS_FULL = Wording("list-full", "There are {limit} open polls already; /poll close ends one.")
VOTES_FULL = Wording("list-full", "There are {limit} votes already.")
JOIN_CODE_LIMITS = Wording("bad-value", "A code lasts for 1 minute to 30 days, and lets at most {limit} people in.")
NO_SUCH_CODE = Wording("no-such-message", "There is no such open code for this room; /codes lists them.")
JOIN_CODES_FULL = Wording("list-full", "There are {limit} open codes for this room already; /codes end CODE ends one.")
NO_SUCH_POLL = Wording("no-such-message", "There is no such open poll here; /poll lists them.")
NO_SUCH_ANSWER = Wording("bad-value", "The answers of that poll have the numbers 1 to {limit}; 0 takes your vote back.")
NO_HANDS = Wording("nobody-waits", "No hand is raised here.")
MUTED = Wording("muted", "Not sent: you may not speak in {room}.")
SLOW_MODE = Wording("slow-mode", "Not sent: {room} is in slow mode; wait {wait:.0f} s.")
NO_TEXT = Wording("no-text", "There is nothing to send.")
TEXT_TOO_LONG = Wording("text-too-long", "Not sent: a message has at most {limit} bytes.")
LINE_TOO_LONG = Wording("line-too-long", "Not sent: a line has at most {limit} bytes.")
TOPIC_TOO_LONG = Wording("topic-too-long", "Not set: a topic has at most {limit} bytes; this one has {size}.")

# --- other people -----------------------------------------------------------------------------------------------------

IGNORES_SELF = Wording("bad-value", "You cannot ignore yourself.")
NOT_IGNORED = Wording("no-such-name", "You do not ignore {name}.")
TOO_MANY_IGNORED = Wording("list-full", "You ignore {limit} people already; /unignore one first.")
NO_SUCH_NAME = Wording("no-such-name", "Nobody here is called {name}.")
RECIPIENT_LEFT = Wording("no-such-name", "Not sent: the recipient has left.")
SOMEBODY_ELSE = Wording("somebody-else", "Not sent: the {name} who is here now may be somebody else.")
NOT_THERE = Wording("not-there", "{name} is not in {room}.")
THERE_ALREADY = Wording("there-already", "{name} is already in {room}.")
NOT_READING = Wording("not-reading", "Not sent: {name} is not reading messages right now.")
NO_GUESTS = Wording("accounts-only", "Not sent: {name} takes private messages only from people with an account.")
UNREACHABLE = Wording("not-confirmed", "Not confirmed: {name} cannot be reached right now.")

# --- operators --------------------------------------------------------------------------------------------------------

NOT_OPERATOR = Wording("not-operator", "You are not an operator of {room}.")
TOPIC_LOCKED = Wording("not-operator", "The topic of {room} is locked. Only its operators can change it.")
NOT_YOURS = Wording("not-yours", "Only the author of a message and the room's operators can delete it.")
NOT_YOURS_IN_PRIVATE = Wording("not-yours", "Only the author of a private message can delete it.")
PRIVATE_NOT_KEPT = Wording("no-such-message", "Only messages that are stored can be corrected or reacted to.")
NOT_YOURS_TO_CORRECT = Wording("not-yours", "Only the author of a message can correct it.")
TOO_LATE_TO_CORRECT = Wording("too-late", "A message can be corrected for {limit} minutes only.")
NOT_YOURS_TO_CLOSE = Wording("not-yours", "Only the author of a poll and the room's operators can end it.")
REACTION_INVALID = Wording("bad-value", "A reaction is an emoji or a word of at most {limit} bytes.")
REACTIONS_FULL = Wording("bad-value", "A message can have at most {limit} different reactions.")
NOT_PINNED = Wording("no-such-message", "That message is not pinned.")
NO_SUCH_MESSAGE = Wording("no-such-message", "There is no such message here.")
LOBBY_KEEPS_NAME = Wording("cannot-rename", "The lobby keeps its name.")
SAME_NAME = Wording("cannot-rename", "The room is called {room} already.")
LOBBY_TAKEN = Wording("cannot-rename", "There is already a room called {room}.")
ROOM_EXISTS = Wording("name-in-use", "There is already a room called {room}.")
KEY_INVALID = Wording("bad-value", "A key has 1 to {limit} characters, and no spaces or commas.")
KEY_COLON = Wording("bad-value", "A key can't begin with a colon.")
MASK_TOO_LONG = Wording("bad-value", "A mask has at most {limit} characters.")
NETWORK_MASK = Wording("bad-value", "Only server operators can ban networks. Type a whole address, a cloak or a name.")
SLOW_INVALID = Wording("bad-value", "slow takes a number of seconds (1 to {limit}), or off.")
FLOOD_INVALID = Wording("bad-value", "flood takes a number of messages in 10 s (1 to {limit}), or off.")
LIMIT_INVALID = Wording("bad-value", "limit takes a number of people (1 to {limit}), or off.")
LIST_FULL = Wording("list-full", "There are {limit} masks in that list already; remove one of them first.")
NOTHING_TO_UNDO = Wording("nothing-to-undo", "There is nothing to undo.")
NO_SUCH_SETTING = Wording("no-such-setting", "The settings are {settings}.")
VALUE_INVALID = Wording("value-invalid", "/set {setting} takes on or off.")

# --- commands ---------------------------------------------------------------------------------------------------------

NO_SUCH_COMMAND = Wording("no-such-command", "There is no command /{command}; /help lists the commands.")
ARGUMENT_MISSING = Wording("argument-missing", "Usage: {synopsis}")
ARGUMENT_INVALID = Wording("argument-invalid", "Usage: {synopsis}")
ARGUMENT_TOO_LONG = Wording("argument-too-long", "/{command} takes at most {limit} characters.")
NUMBER_INVALID = Wording("number-invalid", "/{command} takes a number from 1 to {limit}.")
TIME_INVALID = Wording(
    "time-invalid", "Give a time like 09:15, 2026-11-24, 2026-11-24 09:15, 30m, 2h, 1d, today or yesterday."
)
FILTER_TIME_INVALID = Wording(
    "time-invalid",
    "The filters before: and after: take a time, as in before:2026-11-24 or after:2h. "
    'To search for such a text, put it in quotes: "before:all".',
)
SEARCH_TOO_LONG = Wording("too-many-words", "A search has at most {limit} characters.")
TOO_MANY_WORDS = Wording("too-many-words", "A search has at most {limit} words.")

# --- the log; `reason` is the text of a BrokerError -------------------------------------------------------------------

LOG_UNREADABLE = Wording("broker", "The log cannot be read: {reason}.")
ROOM_UNREADABLE = Wording("broker", "Not sent: {room} cannot be read right now.")
JOIN_FAILED = Wording("broker", "Not joined: {reason}.")
RENAME_FAILED = Wording("broker", "Not done: {reason}.")
NAME_UNDECIDED = Wording("broker", "{reason}; try again in a while.")
BUSY = Wording("busy", "Not done: {reason}; try again in a while.")
NOT_STORED = Wording("not-stored", "Not sent: {reason}.")
JOIN_NOT_STORED = Wording("not-stored", "Not joined: {reason}; try /join {room} again.")
NOT_CONFIRMED = Wording("not-confirmed", "Not confirmed: {reason}. It may still appear.")
MESSAGE_NOT_CONFIRMED = Wording("not-confirmed", "Not confirmed: {reason}. It may still appear: {text}")

# --- the WebSocket ----------------------------------------------------------------------------------------------------

BINARY_FRAME = Wording("bad-frame", "Frames must be text.")
BAD_FRAME = Wording("bad-frame", "That is not a request: {fault}.")
NO_NAME = Wording("no-name", "Say hello first.")
NAMED_ALREADY = Wording("named-already", "You already have a name. Type /nick to change it.")

# --- the API ----------------------------------------------------------------------------------------------------------

NOT_FOUND = Wording("not-found", "No such endpoint. See docs/openapi.json.")
METHOD = Wording("method", "{method} is not allowed here. Allowed: {allowed}.")
TOO_FAST = Wording("too-fast", "Too many requests came from your address; wait a moment.")
QUERY_MISSING = Wording("query-invalid", "The query lacks {field}, as in ?{field}=…")
QUERY_INVALID = Wording("query-invalid", "The query's {field} must be {expected}.")
CHARSET_UNKNOWN = Wording("charset-unknown", "The charset {charset} is not supported. Use UTF-8.")
JSON_WITHOUT_TEXT = Wording("body-invalid", 'The JSON body must have a text, as in {{"text": "hello"}}.')
NOT_JSON = Wording("body-invalid", "The body is not JSON, though the Content-Type says so.")
BODY_INVALID = Wording(
    "body-invalid",
    "The body must be application/json: an object with the fields of this request, none of them too long.",
)
BODY_TOO_LONG = Wording("text-too-long", "The body of this request has at most {limit} bytes.")
BODY_CUT_OFF = Wording("body-broken", "The request's body was cut off.")
BODY_BROKEN = Wording("body-broken", "The request's body is not valid HTTP.")
TOO_SLOW = Wording("too-slow", "The message took too long to arrive.")
NOT_KNOWN = Wording("not-known", "It is not known whether this was sent. Look before you send it again.")

# --- connections ------------------------------------------------------------------------------------------------------

SERVER_FULL = Wording("too-many", "The chat is full right now; try again later.")
TOO_MANY = Wording("too-many", "There are too many connections from your address.")
TOO_OFTEN = Wording("too-many", "There are too many new connections from your address; try again in {seconds} s.")
ENCRYPTED_ONLY = Wording(
    "not-accepted",
    "This chat takes encrypted connections only; use TLS, as in: openssl s_client -quiet -connect HOST:PORT",
)
NO_PAGE = Wording("not-accepted", "There is no web page at this address.")
NO_PROXY = Wording("not-accepted", "The PROXY protocol is not accepted from your address.")
NO_SSH = Wording("not-accepted", "This chat does not speak SSH; use nc, telnet, a browser or an IRC client.")
NOT_SPOKEN = Wording(
    "not-accepted",
    "This chat speaks plain lines (nc, telnet), HTTP/1.1, IRC and TLS, but your client began with something else.",
)
ONE_WIRE_ONLY = Wording("not-accepted", "This address is for {wire} clients only.")
TOO_LATE = Wording("too-slow", "This request came so late that it was mistaken for a person at a terminal. Try again.")

# --- accounts ---------------------------------------------------------------------------------------------------------

NAME_REGISTERED = Wording("name-registered", "The name {name} is registered. Log in, or use another name.")
NAME_LOOKS_REGISTERED = Wording("name-taken", "The name {name} looks like {other}, which is registered. Use another.")
NAME_UNREGISTERED = Wording("no-such-name", "The name {name} is not registered.")
NAME_IS_ACCOUNT = Wording("name-kept", "While you are logged in, your name is {name}.")
NO_SUCH_ACCOUNT = Wording("wrong-password", "That is not the password of {name}, nor a valid code.")
CODE_WRONG = Wording("wrong-password", "That code is wrong, used or too old.")
ACCOUNT_CLOSED = Wording("account-closed", "The account {name} is closed. Ask the operator of this server.")
NOT_LOGGED_IN = Wording("not-logged-in", "You are not logged in.")
LOGGED_IN_ALREADY = Wording("logged-in-already", "You are logged in as {name} already.")
REGISTRATION_CLOSED = Wording(
    "registration-closed", "Names cannot be registered here. Ask the operator of this server."
)
INVITATION_MISSING = Wording("registration-closed", "To register here, you need an invitation code.")
PASSWORD_SHORT = Wording("weak-password", "A password has at least {limit} characters.")
PASSWORD_LONG = Wording("weak-password", "A password has at most {limit} bytes.")
PASSWORDS_DIFFER = Wording("weak-password", "These two passwords differ.")
PASSWORD_TEXT = Wording(
    "weak-password", "A password is UTF-8 text without control characters, and neither begins nor ends with a space."
)
NOT_ENCRYPTED = Wording(
    "not-encrypted", "Your connection is not encrypted, so anyone on the way could read your password. Use a code."
)
PASSWORD_IN_MESSAGE = Wording(
    "no-such-command", "Not sent: this is a command with a password. Type /msg NickServ HELP for the commands here."
)
LOGINS_SLOWED = Wording("too-many-logins", "Too many wrong passwords or codes; try again in {seconds:.0f} s.")
REGISTRATIONS_SLOWED = Wording(
    "too-many-logins", "Too many names were registered from your address; try again in {seconds:.0f} s."
)
LOGINS_BUSY = Wording("too-many-logins", "The server is too busy to check passwords right now; try again in a while.")
LOGIN_FAILED = Wording("wrong-password", "The login failed.")
CERTIFICATE_UNKNOWN = Wording("wrong-password", "That certificate belongs to no account.")
CERTIFICATE_INVALID = Wording(
    "bad-value", "The fingerprint of a certificate is its SHA-256: 64 hexadecimal digits, with or without colons."
)
CERTIFICATE_MISSING = Wording(
    "bad-value", "Your client has shown no certificate that is valid here. Connect with it, or name its fingerprint."
)
CERTIFICATE_TAKEN = Wording("bad-value", "That certificate belongs to another account.")
SSH_KEY_UNKNOWN = Wording("wrong-password", "That ssh key belongs to no account.")
SSH_KEY_TAKEN = Wording("bad-value", "That ssh key belongs to another account.")
SSH_KEY_MISSING = Wording("bad-value", "You have shown no ssh key here. Connect with ssh and a key.")
NO_SUCH_SSH_KEY = Wording("bad-value", "Your account has no such ssh key; /keys lists them.")
LAST_SSH_KEY = Wording("bad-value", "That is the last way to log in. Set a password first, with /password.")
TOO_MANY_SSH_KEYS = Wording("too-many-tokens", "You have {limit} ssh keys already; remove one of them first.")
TOKEN_WRONG = Wording("wrong-password", "That token is wrong, ended or too old.")
TOKEN_SCOPE = Wording("token-limited", "That token does not allow that: it lacks the scope {scope}.")
TOKEN_ROOM = Wording("token-limited", "That token is not for {room}.")
CODES_FULL = Wording("busy", "Too many codes are open right now; try again in a while.")
TOO_MANY_TOKENS = Wording("too-many-tokens", "You have {limit} tokens already; end one of them first.")
ACCOUNTS_UNREADABLE = Wording("busy", "The accounts cannot be reached right now; try again in a while.")
ACCOUNT_REQUIRED = Wording("account-required", "Only people with an account may do that here; log in first.")
MENTIONS_NOT_KEPT = Wording(
    "account-required", "Mentions are kept only for people with an account. Type /register PASSWORD to make one."
)
WORD_INVALID = Wording("bad-value", "A word to listen for has at most {limit} letters and digits, and no spaces.")
PUSH_URL_INVALID = Wording("bad-value", "Notifications go to a web address, like https://ntfy.sh/my-secret-topic.")
PUSH_OFF = Wording("bad-value", "This server sends no notifications.")
TOO_MANY_WORDS_HEARD = Wording("bad-value", "You have {limit} words already; /notify off WORD removes one.")
REGISTERED_ONLY = Wording(
    "account-required", "Only people with an account may come in. Register a name first, for example on the web page."
)
NEWCOMERS_REFUSED = Wording(
    "account-required", "Only people with an account may come in. Ask the operator of this server."
)

# --- passwords of operators -------------------------------------------------------------------------------------------

ATTEMPT_PENDING = Wording(
    "wrong-password", "Other attempts from your address are being checked; wait for their results."
)
LOCKED = Wording("wrong-password", "Too many wrong passwords came from your address; try again in {minutes} min.")

ALL = {name: wording for name, wording in list(globals().items()) if isinstance(wording, Wording)}
CODES = sorted({wording.code for wording in ALL.values()})
