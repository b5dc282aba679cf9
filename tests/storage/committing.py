"""A writer to be killed: `python committing.py FOLDER` prints each entry's number and id once it is committed."""

import sys
import time
from itertools import count
from pathlib import Path

from hubbub.model.entries import Draft, Said
from hubbub.storage.sqlite.store import Store


def main(folder: str) -> None:
    store = Store(Path(folder), write=True)
    for batch in count():
        drafts = [Draft(f"room{n % 3}", "Ann", Said(f"text {batch}.{n}"), f"{batch}.{n}") for n in range(batch % 9 + 1)]
        for entry in store.append(drafts, time.time()):
            print(entry.seq, entry.id, flush=True)
        if batch % 5 == 0:
            store.index_some(10)


if __name__ == "__main__":
    main(sys.argv[1])
