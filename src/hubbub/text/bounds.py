"""The longest texts that hubbub accepts; each bound is checked before a text is folded, normalised, matched or stored.

The suffixes are the units: `_CHARS` are code points, `_BYTES` are bytes of UTF-8. TABLE lists the treatment of longer
texts; docs/protocol.md shows it.
"""

from typing import NamedTuple

# Names are as long as most IRC networks allow, and short enough to read in a line.
NAME_CHARS = 32
# Any input where a name or a mask is expected. Normalising is quadratic in a run of combining marks, so this bound is
# checked before it. A whole mask (32 for the nick, 20 for the user, 64 for the host) fits.
FOLDED_CHARS = 128
KEY_CHARS = 32
MASKS_IN_LIST = 100
COMMAND_CHARS = 32  # the word behind the slash; the longest existing one has 7
ARGUMENT_CHARS = 256  # any argument but a text: names, masks, numbers, passwords

# IRC clients cut their texts to the limits that ISUPPORT announces. With its source before it, each fits in an IRC
# line.
TOPIC_BYTES = 390
REASON_BYTES = 300
AWAY_BYTES = 300
REACTION_BYTES = 64  # the longest emoji (a family of four with skin colours) has 41
REAL_NAME_BYTES = 150
USER_NAME_CHARS = 20

METADATA_KEY_BYTES = 64
METADATA_VALUE_BYTES = 300  # with key and target it fits in an IRC line
METADATA_KEYS = 20
METADATA_SUBSCRIPTIONS = 50

MESSAGE_BYTES = 16 * 1024
MULTILINE_BYTES = 4096  # of an IRC message of several lines; announced as max-bytes
MULTILINE_LINES = 100  # likewise, announced as max-lines

FORMAT_CHARS = 4096  # of a message's formatting as it is stored; an IRC line that holds only codes has fewer
# The longest stacks of marks in any language (Burmese, Hebrew with accents); higher stacks cover other lines.
MARKS_IN_ROW = 4

SEARCH_CHARS = 1024
SEARCH_WORDS = 32


class Bound(NamedTuple):
    """A row of the table: a text, its greatest length in a unit, and the treatment of a longer one."""

    text: str
    most: int
    unit: str
    beyond: str


TABLE = (
    Bound("a nick, a room's name", NAME_CHARS, "characters", "refused"),
    Bound("a name or a mask as it is typed, and a mask when folded", FOLDED_CHARS, "characters", "refused"),
    Bound("a room's key", KEY_CHARS, "characters", "refused"),
    Bound("a list of masks", MASKS_IN_LIST, "masks", "refused"),
    Bound("the word of a slash command", COMMAND_CHARS, "characters", "refused"),
    Bound("its argument, unless that is a text", ARGUMENT_CHARS, "characters", "refused"),
    Bound("a message", MESSAGE_BYTES, "bytes", "refused"),
    Bound("an IRC message of several lines", MULTILINE_BYTES, "bytes", "refused"),
    Bound("an IRC message of several lines", MULTILINE_LINES, "lines", "refused"),
    Bound("a topic", TOPIC_BYTES, "bytes", "refused; cut for IRC clients"),
    Bound("a reason (leave, kick, quit, rename, redact)", REASON_BYTES, "bytes", "cut"),
    Bound("a reaction", REACTION_BYTES, "bytes", "cut"),
    Bound("an away text", AWAY_BYTES, "bytes", "cut"),
    Bound("a real name", REAL_NAME_BYTES, "bytes", "cut; refused by SETNAME"),
    Bound("an IRC user name", USER_NAME_CHARS, "characters", "cut"),
    Bound("a key of METADATA", METADATA_KEY_BYTES, "bytes", "refused"),
    Bound("a value of METADATA", METADATA_VALUE_BYTES, "bytes", "refused"),
    Bound("values of METADATA of one target", METADATA_KEYS, "keys", "refused"),
    Bound("subscriptions to METADATA", METADATA_SUBSCRIPTIONS, "keys", "refused"),
    Bound("a message's IRC formatting, as it is stored", FORMAT_CHARS, "characters", "dropped"),
    Bound("combining marks in a row", MARKS_IN_ROW, "marks", "dropped; refused in names"),
    Bound("the words of a search", SEARCH_CHARS, "characters", "refused"),
    Bound("the words of a search", SEARCH_WORDS, "words", "refused"),
)
