"""Queries as the server itself asks them; a test that is about who may read what names another viewer."""

from functools import partial

from hubbub.core import model
from hubbub.core.viewer import SYSTEM

After = partial(model.After, viewer=SYSTEM)
AllRooms = partial(model.AllRooms, viewer=SYSTEM)
Around = partial(model.Around, viewer=SYSTEM)
Latest = partial(model.Latest, viewer=SYSTEM)
Search = partial(model.Search, viewer=SYSTEM)
Since = partial(model.Since, viewer=SYSTEM)
