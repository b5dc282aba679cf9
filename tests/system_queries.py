"""Queries as the server itself asks them; a test that is about who may read what names another viewer."""

from functools import partial

from hubbub.model import queries
from hubbub.model.viewer import SYSTEM

After = partial(queries.After, viewer=SYSTEM)
AllRooms = partial(queries.AllRooms, viewer=SYSTEM)
Around = partial(queries.Around, viewer=SYSTEM)
Latest = partial(queries.Latest, viewer=SYSTEM)
Search = partial(queries.Search, viewer=SYSTEM)
Since = partial(queries.Since, viewer=SYSTEM)
